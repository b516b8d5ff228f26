"""Files or Hub data sets -> one frame of pairs and the checks to ask of it. No Prefect.

in   FILE, owner/name or owner/name@revision, several of them; what the command line was told
out  Read: the frame (every row of every source), where each split came from, the list of measures
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl

from expectations.measures.identity import Slot
from expectations.measures.measure import Measure
from expectations.measures.pairs import Pairs
from expectations.measures.suite import CHECKS, Profile, profile_of, suite
from tasks.core.as_pairs import as_pairs
from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.form_names import FormName
from tasks.core.frame import pairs_frame
from tasks.core.hub_data import load_hub_splits, resolve_data
from tasks.core.load import Loaded, load_file
from tasks.core.sources import is_file


@dataclass(frozen=True)
class Source:
    """One split of what was checked. `path`: the local file, for notes with file and line."""

    split: str  # the file's name, or its path as given where two are called alike
    path: str | None
    read_as: str
    form: str
    rows: int
    faulty: int  # rows that cannot become pairs
    judged: bool = True  # False: only looked at for overlap
    ties: int = 0  # beside `rows`, neither answer is the better: no pairs, and no fault


@dataclass(frozen=True)
class Read:
    frame: pl.DataFrame
    sources: tuple[Source, ...]
    profile: Profile
    asked: tuple[Measure, ...]
    left_out: tuple[str, ...]  # checks that compare two sides, where there is only one

    @property
    def one_sided(self) -> bool:
        return bool(self.left_out)


@dataclass(frozen=True)
class Told:
    """What a person may say beside the sources; every field as on the command line."""

    profile: str | None = None
    suite_file: str | None = None
    allow: tuple[str, ...] = ()
    reference: str | None = None
    against: str | None = None
    tokenizer: str | None = None
    read_as: str | None = None  # a form of docs/forms.md, for the sources and `against`
    name: str | None = None  # configuration of the Hub data sets among them


def read(names: Sequence[str], told: Told) -> Read:
    """Raises InputError for what cannot be read or makes no sense."""
    if not names:
        raise InputError("nothing to check: name files, or data sets of the Hub as owner/name.")
    _require_values(told)
    form = _form(told.read_as)
    _require_hub(names, told)
    parts = [part for name in names for part in _load(name, form, told.name)]
    against = _load(told.against, form, told.name) if told.against else []
    labels = _labels([(name, path) for name, path, _ in parts + against])
    sources, frames = [], []
    for number, (label, (name, path, loaded)) in enumerate(
        zip(labels, parts + against, strict=True)
    ):
        judged = number < len(parts)
        if loaded.ties and not loaded.rows and not loaded.faults:
            raise InputError(f"{name}: no pairs, all rows are ties. Give other votes or scores.")
        ties = len(loaded.ties)  # told with the first split of a file
        for split, rows in _splits(label, as_pairs(loaded)).items():
            frames.append(pairs_frame(rows, split).with_columns(pl.lit(judged).alias("judged")))
            faulty = sum(bool(row["faults"]) for row in rows)
            if not judged and faulty == len(rows):
                raise InputError(
                    f"--against {name}: none of its {faulty:,} rows can become a pair."
                )
            sources.append(
                Source(split, path, loaded.read_as, loaded.form, len(rows), faulty, judged, ties)
            )
            ties = 0
    judged_forms = {source.form for source in sources if source.judged}
    one_sided = judged_forms == {"conversations"}
    if "conversations" in judged_forms and not one_sided:
        raise InputError(
            f"{', '.join(names)}: conversations and pairs in one call; they are judged by "
            "different checks. Check them one by one."
        )
    if one_sided and told.allow:
        raise InputError(
            f"--allow {told.allow[0]}: conversations have one answer, and a slot says in what two "
            "may differ. Leave it out, or give pairs."
        )
    frame = pl.concat(frames, how="diagonal")
    profile, changes = _profile(told, judged_forms)
    template_adds = None
    if told.tokenizer:
        frame, template_adds = _with_tokens(frame, told.tokenizer)
    try:
        asked = suite(
            profile,
            changes,
            slots=slots_of(told.allow),
            max_length=None if told.tokenizer is None else MAX_LENGTH,
            template_adds=template_adds,
            reference=_reference(told.reference),
            one_sided=one_sided,
        )
    except ValueError as error:
        raise InputError(_in_words(str(error), told)) from error
    left_out = [name for name, check in CHECKS.items() if one_sided and not check.one_sided]
    return Read(frame, tuple(sources), profile, tuple(asked), tuple(left_out))


MAX_LENGTH = 1024  # tokens of prompt and answer, TRL's own default; a suite file sets another


def slots_of(allow: Sequence[str]) -> list[Slot]:
    """["name=Deep Qwen:Qwen"] -> slots; "|" between several spellings of one side."""
    slots: list[Slot] = []
    for one in allow:
        name, _, sides = one.partition("=")
        new, _, old = sides.partition(":")
        chosen, rejected = (
            [s.strip() for s in side.split("|") if s.strip()] for side in (new, old)
        )
        if not name.strip() or not chosen or not rejected:
            raise InputError(
                f"--allow {one}: not of the form name=NEW:OLD, such as name=Deep Qwen:Qwen; "
                "several spellings of a side stand as NEW|NEW2."
            )
        if any(slot["name"] == name.strip() for slot in slots):
            raise InputError(
                f"--allow {one}: the slot {name.strip()} is given twice. Write its spellings "
                "into one, as in name=NEW|NEW2:OLD|OLD2, or give the second another name."
            )
        slots.append({"name": name.strip(), "chosen": chosen, "rejected": rejected})
    return slots


def _require_values(told: Told) -> None:
    """An option that is there and empty is a variable that was not set, not a wish for less."""
    for name, value in vars(told).items():
        if value == "" or (name == "allow" and "" in value):
            option = {"suite_file": "suite"}.get(name, name)
            raise InputError(f"--{option}: empty. Give it a value, or leave it out.")


def read_suite(path: str) -> tuple[Profile | None, dict[str, Any]]:
    """(profile, changes by check) of a YAML file: `S1: {purity: 0.95}`, `L2: off`."""
    import yaml  # slow to import, and seldom asked for

    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"--suite {path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--suite {path}: not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise InputError(
            f"--suite {path}: not a mapping of checks, such as `S1: {{purity: 0.95}}`."
        )
    profile = content.pop("profile", None)
    if profile is not None and profile not in get_args(Profile):
        raise InputError(f"--suite {path}: profile {profile!r}: one of {_profiles()}.")
    changes: dict[str, Any] = {}
    for name, change in content.items():
        change = None if change == "off" else change
        if change is not None and change is not False and not isinstance(change, dict):
            raise InputError(
                f"--suite {path}: {name}: {change!r} is neither settings, such as "
                "`{purity: 0.95}`, nor `off`."
            )
        changes[str(name)] = change if isinstance(change, dict) else None
    return profile, changes


def _profile(told: Told, forms: set[str]) -> tuple[Profile, dict[str, Any]]:
    """What was asked for, else what the file asks for, else what the data look like."""
    in_file, changes = read_suite(told.suite_file) if told.suite_file else (None, {})
    asked = told.profile or in_file
    if asked is None:
        asked = profile_of(bool(told.allow), forms == {"hh"})
    for profile in get_args(Profile):
        if profile == asked:
            return profile, changes
    raise InputError(f"--profile {asked}: unknown; one of {_profiles()}.")


def _profiles() -> str:
    return ", ".join(get_args(Profile))


def _in_words(reason: str, told: Told) -> str:
    place = f"--suite {told.suite_file}: " if told.suite_file else ""
    if "slots" in reason and "none given" in reason:
        return f"--profile identity: {reason} On the command line: --allow 'name=Deep Qwen:Qwen'."
    return place + reason


def _form(name: str | None) -> FormName | None:
    if name is None:
        return None
    for form in get_args(FormName):
        if form == name:
            return form  # type: ignore[no-any-return]
    raise InputError(f"--read-as {name}: unknown; one of {', '.join(get_args(FormName))}.")


def _require_hub(names: Sequence[str], told: Told) -> None:
    """A configuration is named of a Hub data set, not of files."""
    if told.name and all(is_file(name) for name in (*names, told.against) if name):
        raise InputError(
            f"--name {told.name}: the configuration of a Hub data set, but all sources are local "
            "files. Leave it out."
        )


def _load(
    name: str, form: FormName | None = None, configuration: str | None = None
) -> list[tuple[str, str | None, Loaded]]:
    """(name of the split, local path, rows) of one source."""
    if is_file(name):
        return [(Path(name).name, name, load_file(name, form))]
    repo, _, revision = name.partition("@")
    sha, _ = resolve_data(repo, revision or "main")
    splits = load_hub_splits(repo, sha, form, configuration)
    return [(split, None, loaded) for split, loaded in splits.items()]


def _splits(label: str, rows: list[Row]) -> dict[str, list[Row]]:
    """A file whose rows say their split themselves counts as several."""
    splits: dict[str, list[Row]] = {}
    for row in rows:
        name = f"{label}, split {row['split']}" if "split" in row else label
        splits.setdefault(name, []).append(row)
    return splits


def _labels(named: Sequence[tuple[str, str | None]]) -> list[str]:
    """Split names that differ: two files called test.jsonl go by their paths as given."""
    names = [name for name, _ in named]
    labels: list[str] = []
    for name, path in named:
        label = path if path and names.count(name) > 1 else name
        labels.append(label if label not in labels else f"{label} ({labels.count(label) + 1})")
    return labels


def _reference(name: str | None) -> Pairs | None:
    if name is None:
        return None
    frames = [pairs_frame(as_pairs(loaded), split) for split, _, loaded in _load(name)]
    return Pairs(pl.concat(frames, how="diagonal"))


def _with_tokens(frame: pl.DataFrame, repo: str) -> tuple[pl.DataFrame, str]:
    """tokens and prompt_is_prefix of each good row; what the chat template adds by itself."""
    from tasks.core.models import load_tokenizer_at, tokenizer_folder
    from tasks.core.render import counted, injected_system, require_chat_template

    tokenizer = load_tokenizer_at(tokenizer_folder(repo))
    require_chat_template(tokenizer, repo)
    rows = frame.select("prompt", "chosen", "rejected", "faults").iter_rows(named=True)
    counts = [(None, None) if row["faults"] else counted(tokenizer, row) for row in rows]
    tokens, prefix = zip(*counts, strict=True)
    measured = frame.with_columns(
        pl.Series("tokens", tokens, dtype=pl.Int64),
        pl.Series("prompt_is_prefix", prefix, dtype=pl.Boolean),
    )
    return measured, injected_system(tokenizer) or ""
