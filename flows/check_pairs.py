"""The data set check on the command line: load -> reformat -> measures, no Prefect server.

out  one line a check on standard output, failures first; 0 clean, 1 a check failed
"""

import sys
from collections import defaultdict

import polars as pl

from expectations.measures.suite import Asked, run
from tasks.core.check import asked_of, sentences
from tasks.core.errors import InputError
from tasks.core.load import is_file, load_file, load_hub, resolve_data
from tasks.core.reformat import Row, reformat

ONE_SIDED = {"turn_order", "answers_not_empty", "no_placeholder_left"}


def check_pairs(source: str, allow: str | None) -> int:
    """Exit code. `allow`: name=NEW:OLD for an identity set, whose sides differ in the name only."""
    form, raw = _load(source)
    names = _names(allow)
    asked = asked_of(names, max_length=None)
    if form == "conversations":
        rows, aside, asked = _conversations(raw, asked)
    else:
        rows, aside = reformat(form, raw, system_prompt="")
    columns = ("row", "prompt", "chosen", "rejected")
    frame = pl.DataFrame([{name: row[name] for name in columns} for row in rows])
    findings = run(frame, asked) if rows else []
    for line in sentences(sorted(findings, key=lambda one: one.passed)):
        print(line)
    for reason, numbers in _by_reason(aside).items():
        first = ", ".join(str(number) for number in numbers[:5])
        more = ", ..." if len(numbers) > 5 else ""
        print(f"set aside: {len(numbers)} rows, {reason} (rows {first}{more})")
    failed = [one for one in findings if not one.passed and one.severity == "critical"]
    verdict = "FAILED" if failed or not rows else "passed"
    print(
        f"{verdict}: {source}, {len(raw)} rows read as {form}, {len(rows)} checked, "
        f"{len(aside)} set aside, {len(findings)} checks, {len(failed)} failed"
    )
    return 1 if failed or not rows else 0


def _load(source: str) -> tuple[str, list[Row]]:
    if is_file(source):
        return load_file(source)
    repo, _, revision = source.partition("@")
    sha, _ = resolve_data(repo, revision or "main")
    return load_hub(repo, sha, None, "train")


def _names(allow: str | None) -> tuple[str, str] | None:
    if allow is None:
        return None
    slot, _, sides = allow.partition("=")
    new, _, old = sides.partition(":")
    if slot != "name" or not new or not old:
        raise InputError(f"--allow {allow}: not of the form name=NEW:OLD.")
    return old, new


def _conversations(raw: list[Row], asked: list[Asked]) -> tuple[list[Row], list[Row], list[Asked]]:
    """Conversations have one side: it stands on both, and only checks of one side are asked."""
    print(
        "conversations, no pairs: the checks that compare two sides are left out", file=sys.stderr
    )
    rows, aside = [], []
    for row in raw:
        turns = row["conversations"]
        if len(turns) > 1 and turns[-1]["role"] == "assistant":
            answer = turns[-1:]
            rows.append(row | {"prompt": turns[:-1], "chosen": answer, "rejected": answer})
        else:
            aside.append({"row": row["row"], "reason": "is not a question and an answer"})
    return rows, aside, [one for one in asked if one.name in ONE_SIDED]


def _by_reason(aside: list[Row]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in aside:
        found[row["reason"]].append(row["row"])
    return dict(found)
