"""Which checks a data set must pass: all of them by name, changed by a profile and by a file.

in   a profile, changes by check name, and what only the caller knows: slots of a rename, the
     model's window, what its template adds
out  list of measures; `answer` gives a Finding for each, or how it crashed (`run` lets a crash
     through, for benchmarks and tests). The Great Expectations layer asks the same list, so that a
     terminal and a Data Docs page tell the same
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from expectations.measures.access_tokens import AccessTokens
from expectations.measures.answers import Answers, TwoAnswers
from expectations.measures.bag_of_words import BagOfWords
from expectations.measures.becoming import RowsBecomePairs, SamePrompt
from expectations.measures.contacts import Contacts
from expectations.measures.copies import Contradictions, Duplicates
from expectations.measures.diversity import Diversity
from expectations.measures.finding import Finding
from expectations.measures.identity import IdentitySlots, Slot
from expectations.measures.languages import LanguageDrift, Languages
from expectations.measures.length_bias import LengthDecides, LengthDrift, LengthLeans
from expectations.measures.lengths import PromptIsPrefix, Tokens
from expectations.measures.marks import OuterSpace, RoleMarkers, SpecialTokens
from expectations.measures.measure import Measure, RowMeasure
from expectations.measures.near import NearPrompts
from expectations.measures.pairs import Pairs
from expectations.measures.placeholders import Placeholders
from expectations.measures.scores import Scores
from expectations.measures.shortcuts import Frequent, NearPerfect, OneSided, Weak
from expectations.measures.splits import PromptInOneSplit
from expectations.measures.system_prompt import SystemPrompt
from expectations.measures.turn_order import TurnOrder

Profile = Literal["identity", "preference", "hh"]
Changes = Mapping[str, Mapping[str, Any] | None]

# The order is that of a report: what the rows are, what they give away, how they are divided.
MEASURES: tuple[type[Measure], ...] = (
    RowsBecomePairs,
    TurnOrder,
    SamePrompt,
    Answers,
    TwoAnswers,
    OuterSpace,
    Contradictions,
    Duplicates,
    Scores,
    SpecialTokens,
    RoleMarkers,
    Placeholders,
    AccessTokens,
    Contacts,
    Languages,
    LanguageDrift,
    Diversity,
    SystemPrompt,
    Tokens,
    PromptIsPrefix,
    IdentitySlots,
    OneSided,
    NearPerfect,
    Frequent,
    Weak,
    BagOfWords,
    LengthDecides,
    LengthLeans,
    LengthDrift,
    PromptInOneSplit,
    NearPrompts,
)
CHECKS = {measure.check: measure for measure in MEASURES}

# Only the caller knows these: no change may say them.
GIVEN = {"slots", "two_sided", "adds", "reference"}

# HH-RLHF as published holds 0.2 % empty answers, 0.2 to 0.4 % rows whose prompts part early and
# 0.3 to 0.6 % with one role twice in a row. None of them reaches training.
PROFILES: dict[Profile, dict[str, dict[str, Any]]] = {
    "identity": {},
    "preference": {},
    "hh": {
        "P1": {"max_share": 0.01},
        "same_prompt": {"max_share": 0.01},
        "turn_order": {"max_share": 0.02},
    },
}


def suite(
    profile: Profile,
    changes: Changes | None = None,
    *,
    slots: Sequence[Slot] = (),
    max_length: int | None = None,
    template_adds: str | None = None,
    reference: Pairs | None = None,
    one_sided: bool = False,
) -> list[Measure]:
    """The measures to ask. A change of None leaves a check out.

    max_length: None asks nothing about tokens. template_adds: the system message that the chat
    template adds by itself, "" where it adds none, None where no tokenizer is known. reference:
    a set to compare with, for the checks of drift. one_sided: only what makes sense for answers
    without a second side. Raises ValueError with the check and field that is wrong or changes
    nothing.
    """
    if profile != "identity" and slots:
        raise ValueError(
            f"slots {[slot['name'] for slot in slots]}: a {profile} set has none, its answers "
            'differ in more than names. Use the profile "identity", or leave the slots out.'
        )
    changes = changes or {}
    if unknown := sorted(set(changes) - set(CHECKS)):
        raise ValueError(f"no check is called {', '.join(unknown)}; there are {', '.join(CHECKS)}.")
    known: dict[str, dict[str, Any]] = {}
    if profile == "identity":
        known |= {
            name: {"slots": list(slots)} for name, m in CHECKS.items() if "slots" in m.model_fields
        }
    if max_length is not None:
        known["tokens_within_limit"] = {"max_length": max_length}
    if template_adds is not None:
        known["system_prompt"] = known.get("system_prompt", {}) | {"adds": template_adds}
    lacking = _lacking(profile, max_length, template_adds, reference, one_sided)
    asked = []
    for name, measure in CHECKS.items():
        change, own = changes.get(name), PROFILES[profile].get(name, {})
        if change is None and name in changes:
            continue
        if change:  # one suite file may serve pairs and conversations
            other_kind = one_sided and not measure.one_sided
            missing = None if other_kind else lacking.get(name)
            _refuse_what_has_no_effect(measure, change, missing)
        if name in lacking:
            continue
        if one_sided and "two_sided" in measure.model_fields:
            own = own | {"two_sided": False}
        told = known.get(name, {}) | dict(change or {})
        if reference is not None and "reference" in measure.model_fields:
            told["reference"] = measure.summary(reference)
        # What this file says itself needs no validation, which takes longer than most checks.
        asked.append(_built(measure, own | told) if told else measure.model_construct(**own))
    return asked


def profile_of(renamed: bool, transcripts: bool) -> Profile:
    """The profile of data of which nobody said one."""
    return "identity" if renamed else "hh" if transcripts else "preference"


def run(pairs: Pairs, asked: Sequence[Measure]) -> list[Finding]:
    pairs.read([measure for measure in asked if isinstance(measure, RowMeasure)])
    return [measure.judge(pairs) for measure in asked]


def answer(
    pairs: Pairs, asked: Sequence[Measure], answered: Callable[[], None] = lambda: None
) -> tuple[list[Finding], dict[str, str]]:
    """(findings, check -> how it crashed). A check that crashed says nothing about the data; it
    must not take the others with it, nor read as a verdict. `answered` is called after each."""
    findings, crashed = [], {}
    pairs.read_ahead([measure for measure in asked if isinstance(measure, RowMeasure)])
    for measure in asked:
        try:
            findings.append(measure.judge(pairs))
        except Exception as error:  # noqa: BLE001 - whatever a crash is, it is told by its check
            crashed[measure.check] = f"{type(error).__name__}: {error}"
        answered()
    return findings, crashed


def _lacking(
    profile: Profile,
    max_length: int | None,
    template_adds: str | None,
    reference: Pairs | None,
    one_sided: bool,
) -> dict[str, str]:
    """Check that cannot be asked -> what it needs."""
    lacking = {}
    if profile != "identity":
        lacking["I1"] = 'the profile "identity"'
    if max_length is None:
        lacking |= dict.fromkeys(("tokens_within_limit", "prompt_is_prefix"), "a tokenizer")
    if template_adds is None:
        lacking["system_prompt"] = "a tokenizer"
    for name, measure in CHECKS.items():
        if reference is None and "reference" in measure.model_fields:
            lacking[name] = "a reference set"
        if one_sided and not measure.one_sided:
            lacking[name] = "two answers to compare"
    return lacking


def _refuse_what_has_no_effect(
    measure: type[Measure], change: Mapping[str, Any], missing: str | None
) -> None:
    known = [field for field in measure.model_fields if field not in GIVEN]
    for field, value in change.items():
        name = f"{measure.check}.{field} = {value!r}"
        if field not in known:
            raise ValueError(f"{name}: unknown; known: {', '.join(known)}")
        if missing:
            raise ValueError(
                f"{name}: has no effect, {measure.check} is not asked here: it needs {missing}. "
                "Leave the setting out."
            )


def _built(measure: type[Measure], fields: Mapping[str, Any]) -> Measure:
    try:
        return measure(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([measure.check, *(str(part) for part in first["loc"])])
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{name} = {first.get('input')!r}: {reason}") from error
