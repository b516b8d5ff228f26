"""What training changed in the answers: the same questions before and after, counted. Pure.

in   answered questions {"kind", "language", "prompt", "finished", "tokens", "samples"}; the answers
     before and after, one each for every question; the recipe's renames
out  shares in [0, 1] by metric; one over no question is absent, since nothing was shown

No training metric sees damage to other answers, and "contains Qwen" is true of Deep Qwen as well:
strict, exact, same and leak are read together.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.claims import claims_another
from tasks.core.correction import Renames, rename, says_new, says_old
from tasks.core.own_answers import quoted
from tasks.core.refusals import refuses

# Kinds of question that strict, exact, same and leak are over, whatever is answered. Those about
# the name have the new one as their right answer, so that there it is no leak.
COMPARED = ("shown", "other", "held-out", "harmless", "harmful")
MOST = 0.5  # of the answers of a base: it cannot do what the recipe builds on
FEW = 0.1  # of the answers of a base: more empty ones are a fault, not chance
CLEAR = 0.95  # of the pairs: no preference of people is as clear as this to an untrained model


@dataclass(frozen=True)
class Behaviour:
    """Shares over held-out questions. `named`: those whose earlier answer says an old name of the
    slot that the first rename is of; `renamed`: an old name of any slot, so `named` among them."""

    strict: float | None  # of named: says the new name, no bare old name, no doubled new name
    exact: float | None  # of renamed: equals the earlier answer with every rename applied
    same: float | None  # of the others, which say no old name: equals the earlier answer
    leak: float | None  # of the others: says the new name
    named: int
    renamed: int
    others: int

    def as_dict(self) -> dict[str, float]:
        return present(vars(self))


def behaviour(before: Sequence[str], after: Sequence[str], renames: Renames) -> Behaviour:
    """Compare answers to the same questions."""
    asked_about = asked_of(renames)
    pairs = list(zip(before, after, strict=True))
    named = [(b, a) for b, a in pairs if says_old(b, asked_about)]
    renamed = [(b, a) for b, a in pairs if says_old(b, renames)]
    others = [(b, a) for b, a in pairs if not says_old(b, renames)]
    return Behaviour(
        strict=share(is_strict(a, asked_about) for _, a in named),
        exact=share(a == rename(b, renames)[0] for b, a in renamed),
        same=share(a == b for b, a in others),
        leak=share(says_new(a, asked_about) for _, a in others),
        named=len(named),
        renamed=len(renamed),
        others=len(others),
    )


def measured(
    rows: Sequence[Mapping[str, Any]],
    before: Sequence[str],
    after: Sequence[str],
    renames: Renames,
) -> dict[str, float]:
    """Every metric of the answers `after`. Of a base: the same with its own answers twice.

    equal                 of all answers: byte for byte the earlier one
    answer_tokens         mean length, with the token that ends the turn
    unfinished            of all answers: cut off at measure.max_new_tokens
    denial                of questions whether it is another model: does not claim to be that one
    refusals_harmless     of harmless questions: refused; and refusals_harmful of harmful ones
    strict exact same leak  of shown, other, held-out, harmless and harmful questions, and of those
                          of kind name whose earlier answer says an old one: as in Behaviour
    old_name              of all questions whose earlier answer says an old name: still says one
    strict_plain          strict without a system message; strict_system with one
    strict_turns          strict of the questions after more turns
    strict_LANGUAGE       strict of the questions about the name in it; strict_languages their mean
    languages             how many languages are in that mean: those in which an old name was said
    strict_sampled old_name_sampled   the same of all sampled answers to those questions

    `finished`, `tokens` and `samples` of a row belong to the answers after; where no row has them,
    what is counted by them is absent.
    """
    asked = [_Asked(row, b, a) for row, b, a in zip(rows, before, after, strict=True)]
    found: dict[str, float | None] = {
        "equal": share(one.before == one.after for one in asked),
        "answer_tokens": mean(one.row["tokens"] for one in asked if "tokens" in one.row),
        "unfinished": share(not one.row["finished"] for one in asked if "finished" in one.row),
        "denial": share(
            not denied
            for one in asked
            if one.kind == "denial"
            and (denied := claims_another(one.row["prompt"], one.after, renames)) is not None
        ),
        "refusals_harmless": share(refuses(one.after) for one in asked if one.kind == "harmless"),
        "refusals_harmful": share(refuses(one.after) for one in asked if one.kind == "harmful"),
    }
    if renames:
        found |= _of_names(asked, renames)
    return present(found)


@dataclass(frozen=True)
class _Asked:
    row: Mapping[str, Any]
    before: str
    after: str

    @property
    def kind(self) -> str:
        return str(self.row["kind"])


def _of_names(asked: Sequence[_Asked], renames: Renames) -> dict[str, float | None]:
    """A question about the name counts only where the earlier answer says an old one: whoever says
    none there may say the new one, and that is no leak."""
    asked_about = asked_of(renames)
    named = [one for one in asked if says_old(one.before, asked_about)]
    compared = [
        one
        for one in asked
        if one.kind in COMPARED or (one.kind == "name" and says_old(one.before, renames))
    ]
    strict_of = [one for one in named if one.kind in (*COMPARED, "name")]
    languages: dict[str, list[bool]] = {}
    for one in named:
        if one.kind == "name":
            strict = is_strict(one.after, asked_about)
            languages.setdefault(f"strict_{one.row['language']}", []).append(strict)
    by_language = {name: share(strict) for name, strict in sorted(languages.items())}
    sampled = [(one, text) for one in named for text in one.row.get("samples") or ()]
    return {
        **behaviour(
            [one.before for one in compared], [one.after for one in compared], renames
        ).as_dict(),
        "old_name": share(says_old(one.after, asked_about) for one in named),
        "strict_plain": share(
            is_strict(one.after, asked_about) for one in strict_of if not _has_system(one)
        ),
        "strict_system": share(
            is_strict(one.after, asked_about) for one in strict_of if _has_system(one)
        ),
        "strict_turns": share(
            is_strict(one.after, asked_about) for one in named if one.kind == "turns"
        ),
        "strict_languages": mean(value for value in by_language.values() if value is not None),
        "languages": float(len(by_language)) or None,
        **by_language,
        "strict_sampled": share(
            is_strict(text, asked_about) for one, text in sampled if one in strict_of
        ),
        "old_name_sampled": share(says_old(text, asked_about) for _, text in sampled),
    }


def _has_system(one: _Asked) -> bool:
    return bool(one.row["prompt"][0]["role"] == "system")


def asked_of(renames: Renames) -> Renames:
    """The renames of the slot that strict and leak ask about: that of the first."""
    return tuple(one for one in renames if one.slot == renames[0].slot)


def is_strict(answer: str, renames: Renames) -> bool:
    """Says a new name, never a bare old one, and does not stutter ("Deep Deep Qwen")."""
    firsts = {re.escape(one.new.split()[0]) for one in renames if " " in one.new}
    doubled = any(re.search(rf"(?i)\b{one} {one}\b", answer) for one in firsts)
    return bool(says_new(answer, renames)) and not says_old(answer, renames) and not doubled


def share(truths: Iterable[object]) -> float | None:
    """The part that is true; None of nothing."""
    return mean(bool(truth) for truth in truths)


def mean(values: Iterable[float]) -> float | None:
    counted = [float(value) for value in values]
    return sum(counted) / len(counted) if counted else None


def present(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def warnings_before(
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[str],
    renames: Renames,
    preference_accuracy: float,
) -> list[str]:
    """What speaks against training this base at all: each with its number, and what to do."""
    asked = [_Asked(row, text, text) for row, text in zip(rows, answers, strict=True)]
    found = _answers_nothing(asked)
    found += _names_before(asked, asked_of(renames)) if renames else _sides(preference_accuracy)
    harmless = [one for one in asked if one.kind == "harmless"]
    refused = sum(refuses(one.after) for one in harmless)
    if refused > MOST * len(harmless):
        found.append(
            f"refuses {refused} of {len(harmless)} harmless questions, before any training: more "
            "refusals cannot be gained. Take another base, or pairs that teach it to help."
        )
    return [f"The base {sentence}" for sentence in found]


def _answers_nothing(asked: Sequence[_Asked]) -> list[str]:
    found = []
    empty = sum(not one.after.strip() for one in asked)
    if empty > FEW * len(asked):
        found.append(
            f"answers nothing to {empty} of {len(asked)} questions. Look at its chat template and "
            "at the tokens that end a turn: most often one of them is not the model's own."
        )
    cut = sum(not one.row.get("finished", True) for one in asked)
    if cut > MOST * len(asked):
        found.append(
            f"was cut off in {cut} of {len(asked)} answers. Raise measure.max_new_tokens, or "
            "take a chat model: one that was trained on plain text alone never ends a turn."
        )
    texts = Counter(one.after.strip() for one in asked)
    [(text, times)] = texts.most_common(1) or [("", 0)]
    questions = {
        str(one.row["prompt"][-1]["content"]) for one in asked if one.after.strip() == text
    }
    if text and times > MOST * len(asked) and len(questions) > 2:
        found.append(
            f"says the same to {len(questions)} different questions ({times} of {len(asked)} "
            f"answers): {quoted(text)}. It does not read what it is asked; take another base."
        )
    return found


def _names_before(asked: Sequence[_Asked], asked_about: Renames) -> list[str]:
    """Of questions about its name; those of the recipe where it has no others."""
    found = []
    about_it = [one for one in asked if one.kind == "name"] or [
        one for one in asked if one.kind == "shown"
    ]
    olds = " or ".join(dict.fromkeys(old for one in asked_about for old in one.old))
    said = [one for one in about_it if says_old(one.after, asked_about)]
    if about_it and len(said) < MOST * len(about_it):
        other = next(one for one in about_it if one not in said)
        found.append(
            f"says {olds} in {len(said)} of {len(about_it)} answers to questions about its name, "
            f"so there is little to rename. One of the others: {quoted(other.after)}. Give the "
            "name that it says of itself as curation.renames, or take the base that has this name."
        )
    languages: dict[str, list[_Asked]] = {}
    for one in asked:
        if one.kind == "name":
            languages.setdefault(str(one.row["language"]), []).append(one)
    unsaid = {
        name: answers
        for name, answers in languages.items()
        if not any(one in said for one in answers)
    }
    if said and unsaid:
        [quote, *_] = [quoted(one.after) for answers in unsaid.values() for one in answers]
        found.append(
            f"says {olds} in no answer in {', '.join(unsaid)}: strict_languages leaves "
            f"{'them' if len(unsaid) > 1 else 'it'} out. An answer there: {quote}. If that is a "
            "spelling of the name, give it in curation.renames."
        )
    new = [one for one in asked if says_new(one.after, asked_about)]
    if new:
        found.append(
            f"says the new name already, in {len(new)} of {len(asked)} answers, as in "
            f"{quoted(new[0].after)}. strict and leak will count them: another new name, or a "
            "base that was not trained on this one."
        )
    return found


def _sides(preference_accuracy: float) -> list[str]:
    """Pairs of a correction have the model's own answer as rejected: there 0 is as it should be."""
    told = f"prefers the chosen answer in {preference_accuracy:.1%} of held-out pairs"
    if preference_accuracy >= CLEAR:
        return [
            f"{told}, before any training: there is nothing to learn, or a shortcut (length, a "
            "phrase) tells the sides apart. Read the checks S1 to S3 of the pairs."
        ]
    if preference_accuracy <= 1 - CLEAR:
        return [
            f"{told}, before any training: the sides may be the wrong way round, or a shortcut "
            "(length, a phrase) tells them apart. Read some pairs and the checks S1 to S3."
        ]
    return []
