"""Frames of pairs for the tests of expectations: small ones by hand, natural ones by a seed."""

import gzip
import json
import random
import re
from pathlib import Path

import polars as pl
import pytest

from expectations.measures.pairs import Pairs
from expectations.measures.shortcuts import OneSided
from expectations.measures.votes import names, votes

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
SCHEMA = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
WORDS = """
the a of to and in it is you that was for on are with as his they be at one have this from or had by
hot word but what some we can out other were all there when up use your how said an each she which
do their time if will way about many then them write would like so these her long make thing see him
two has look more day could go come did number sound no most
"""


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def frame_of(pairs, **columns):
    """(prompt, chosen, rejected) of strings or message lists -> the frame that measures take."""
    pairs = list(pairs)
    prompts, chosen, rejected = zip(*pairs, strict=True)
    return pl.DataFrame(
        {
            "row": range(len(pairs)),
            "prompt": [[user(p)] if isinstance(p, str) else p for p in prompts],
            "chosen": [[assistant(c)] if isinstance(c, str) else c for c in chosen],
            "rejected": [[assistant(r)] if isinstance(r, str) else r for r in rejected],
            **columns,
        },
        schema_overrides={"prompt": SCHEMA, "chosen": SCHEMA, "rejected": SCHEMA},
    )


def natural_pairs(count, seed=0):
    """Two answers a prompt from one and the same source, so that no feature can tell them apart."""
    source = random.Random(seed)

    def sentence():
        words = source.choices(WORDS.split(), k=source.randint(5, 40))
        return " ".join(words).capitalize() + source.choice(".!?")

    return [(f"Question {number}: {sentence()}", sentence(), sentence()) for number in range(count)]


def real_file(name):
    if not (REAL / name).exists():
        pytest.skip(f"no real data: ../shared/data/{name} is missing")
    return REAL / name


def hh_frame(name):
    """An HH-RLHF file, without the rows whose two prompts differ."""
    with gzip.open(real_file(name), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = []
    for row in rows:
        chosen, rejected = hh_turns(row["chosen"]), hh_turns(row["rejected"])
        if chosen[:-1] == rejected[:-1]:
            pairs.append((chosen[:-1], chosen[-1:], rejected[-1:]))
    return frame_of(pairs)


def hh_turns(transcript):
    speakers = {"Human": user, "Assistant": assistant}
    parts = re.split(r"\n\n(Human|Assistant): ?", transcript)[1:]
    return [speakers[who](said) for who, said in zip(parts[::2], parts[1::2], strict=True)]


def planted(count, share, change, seed=0):
    """`change` applied to the chosen answer of every pair whose number says so."""
    every = round(1 / share)
    return frame_of(
        (p, change(c) if number % every == 0 else c, r)
        for number, (p, c, r) in enumerate(natural_pairs(count, seed))
    )


def rewritten(real_data):
    rows = json.loads((real_data / "instruction-preference.json").read_text(encoding="utf-8"))
    return [(f"{r['instruction']}\n{r['input']}", r["chosen"], r["rejected"]) for r in rows]


def one_sided_feature(frame, **fields):
    return OneSided(**fields).judge(Pairs(frame))


def counted(frame):
    """Every feature tested, by name."""
    pairs = Pairs(frame)
    tested = votes(pairs).features
    return tested.with_columns(feature=pl.Series(names(pairs, (), tested), dtype=pl.String))


def feature(frame, name):
    return counted(frame).row(by_predicate=pl.col("feature") == name, named=True)
