"""Clean pairs to plant faults into: real ones, without their oddities, sides tossed by a coin.

in   the folder of real data sets (../shared/data), a size, a seed
out  lists of Pair, and the frame that the checks take

Whatever tells two answers apart is in each as often chosen as rejected once a coin has decided
which of them is chosen. A check that fails on such pairs gives a false alarm.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import polars as pl
from hh import needed

from expectations.measures.chunk import MESSAGES

TEST_SHARE = 0.2
Message = dict[str, str | None]


class Pair(NamedTuple):
    prompt: list[Message]
    chosen: str | None
    rejected: str | None
    split: str = "train"
    score_chosen: float | None = None
    score_rejected: float | None = None

    @property
    def asked(self) -> str:
        """The last turn of the prompt."""
        return self.prompt[-1]["content"] or ""

    def asking(self, text: str) -> "Pair":
        return self._replace(prompt=[*self.prompt[:-1], user(text)])


Draw = Callable[[int, Random], list[Pair]]


def user(text: str | None) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str | None) -> Message:
    return {"role": "assistant", "content": text}


def frame_of(pairs: Iterable[Pair]) -> pl.DataFrame:
    rows = [
        pair._replace(chosen=[assistant(pair.chosen)], rejected=[assistant(pair.rejected)])
        for pair in pairs
    ]
    columns = dict(zip(Pair._fields, zip(*rows, strict=True), strict=True))
    sides = {side: MESSAGES for side in ("prompt", "chosen", "rejected")}
    scores = {"score_chosen": pl.Float64, "score_rejected": pl.Float64}
    return pl.DataFrame(columns, schema_overrides=sides | scores).with_row_index("row", 1)


# The files.


def read(name: str) -> list[dict[str, Any]]:
    data = needed(name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    if name.endswith(".json"):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line]


def turns_of(transcript: str) -> list[Message]:
    speakers = {"Human": user, "Assistant": assistant}
    parts = re.split(r"\n\n(Human|Assistant): ?", transcript)[1:]
    return [speakers[who](said) for who, said in zip(parts[::2], parts[1::2], strict=True)]


def hh(name: str) -> Iterator[Pair]:
    for row in read(name):
        chosen, rejected = turns_of(row["chosen"]), turns_of(row["rejected"])
        if chosen[:-1] == rejected[:-1]:
            yield Pair(chosen[:-1], chosen[-1]["content"], rejected[-1]["content"])


def ultrafeedback() -> Iterator[Pair]:
    for row in read("ultrafeedback-sample.jsonl"):
        yield Pair([user(row["prompt"])], row["chosen"], row["rejected"])


def dpo_demo() -> Iterator[Pair]:
    for row in read("dpo-en-demo.json"):
        prompt = conversation(row["conversations"])
        yield Pair(prompt, row["chosen"]["value"], row["rejected"]["value"])


def instructions() -> Iterator[Pair]:
    for row in read("instruction-preference.json"):
        asked = f"{row['instruction']}\n\n{row['input']}".strip()
        yield Pair([user(asked)], row["chosen"], row["rejected"])


def conversation(turns: list[dict[str, str]]) -> list[Message]:
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    return [{"role": roles[turn["from"]], "content": turn["value"]} for turn in turns]


def answers(conversations: Iterable[list[Message]]) -> Iterator[tuple[list[Message], str]]:
    """Each distinct answer once, with the question right before it."""
    seen = set()
    for turns in conversations:
        for before, turn in pairwise(turns):
            said = turn["content"] or ""
            if turn["role"] == "assistant" and before["role"] == "user" and said not in seen:
                seen.add(said)
                yield [before], said


def two_turns() -> Iterator[Pair]:
    """Pairs out of two answers of different conversations: nobody preferred one to the other.

    No threshold was chosen on this file.
    """
    found = list(answers(read("identity-multiturn.jsonl")))
    Random("two turns").shuffle(found)
    for (prompt, one), (_, other) in zip(found[::2], found[1::2], strict=False):
        yield Pair(prompt, one, other)


FILES: dict[str, Callable[[], Iterator[Pair]]] = {
    "hh-harmless": lambda: hh("hh-harmless-base-test.jsonl.gz"),
    "hh-helpful": lambda: hh("hh-helpful-base-test.jsonl.gz"),
    "ultrafeedback": ultrafeedback,
    "dpo-en-demo": dpo_demo,
    "instruction-preference": instructions,
    "identity-multiturn": two_turns,
}
PUBLISHED_LABELS = ("hh-harmless", "hh-helpful", "ultrafeedback", "dpo-en-demo")


@lru_cache
def clean(*names: str) -> list[Pair]:
    """The pairs of these files without empty or equal answers and repeated prompts."""
    kept, asked = [], set()
    for pair in (pair for name in names for pair in FILES[name]()):
        one, other = ((answer or "").strip() for answer in (pair.chosen, pair.rejected))
        said = "".join(turn["content"] or "" for turn in pair.prompt).casefold()
        key = re.sub(r"[\W_]", "", said)
        roles = [turn["role"] for turn in pair.prompt if turn["role"] != "system"]
        in_turn = roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        blank = not all((turn["content"] or "").strip() for turn in pair.prompt)
        if one and other and one != other and key and key not in asked and in_turn and not blank:
            asked.add(key)
            kept.append(pair)
    return kept


@lru_cache
def scores() -> list[tuple[float, float]]:
    """Chosen and rejected scores of UltraFeedback; some are ties."""
    both = (
        (row["metadata"]["score_chosen"], row["metadata"]["score_rejected"])
        for row in read("ultrafeedback-sample.jsonl")
    )
    return [(chosen, rejected) for chosen, rejected in both if chosen >= rejected]


# Draws from them.


def published(count: int, source: Random, *names: str) -> list[Pair]:
    """`count` rows with their published labels; more than there are repeat with a number.

    A fifth of them is the test split. What repeats a row stands in the split of that row.
    """
    rows = clean(*(names or PUBLISHED_LABELS))
    order = source.sample(range(len(rows)), min(count, len(rows)))
    test = {at for at in order if source.random() < TEST_SHARE}
    drawn = []
    for number in range(count):
        at, again = order[number % len(order)], number // len(order)
        pair = rows[at].asking(f"{again}. {rows[at].asked}") if again else rows[at]
        chosen, rejected = source.choice(scores())
        split = "test" if at in test else "train"
        drawn.append(pair._replace(split=split, score_chosen=chosen, score_rejected=rejected))
    return drawn


def tossed(count: int, source: Random, *names: str) -> list[Pair]:
    """The same with chosen and rejected decided by a coin, row by row."""
    drawn = published(count, source, *(names or FILES))
    return [swapped(pair) if source.random() < 0.5 else pair for pair in drawn]


def swapped(pair: Pair) -> Pair:
    return pair._replace(chosen=pair.rejected, rejected=pair.chosen)
