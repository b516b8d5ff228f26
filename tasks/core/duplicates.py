"""Which rows say again what another row says: told before the split, so that none leaks. No torch.

in   rows.parquet of the reformat stage: row, prompt and, of pairs, chosen and rejected
out  {"row", "code", "reason", "text"} for each row that goes no further, in the order of the rows

Near-duplicates are found by MinHash (Broder 1997) over the runs of three words of a whole row,
128 permutations in 16 bands, and each find is confirmed by the Jaccard index itself: of history,
question, chosen and rejected answer, each. A short text has few runs, so that one other word makes
it another; neither case nor punctuation does.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.aside import set_aside
from tasks.core.fields import Row
from tasks.core.progress import progress
from tasks.core.rows import batches_of, count_rows

PERMUTATIONS, BANDS, SEED = 128, 16, 1
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # odd and large: runs of words spread
Runs = dict[int, frozenset[int]]  # part -> hashes of its runs
NO_WORDS = r"[^\p{L}\p{N}]+"
NO_WORD = r"[^\p{L}\p{N}\s]"


def repeated_rows(path: Path, near: float | None) -> tuple[list[bool], list[Row]]:
    """(for each row whether it stays, what is set aside).

    Repetitions, contradictions and, from a Jaccard index of `near` on, near-duplicates.
    Of rows that are alike the first stays. Of two rows that contradict each other none does:
    nothing tells which of them is right.
    """
    signatures = _Signatures() if near else None
    prints = []
    with progress("duplicates", count_rows(path), "row") as advance:
        for batch in batches_of(path):
            prints.append(_prints(batch))
            if signatures:
                signatures.add(batch)
            advance(batch.height)
    rows = pl.concat(prints).with_row_index("at")
    told = {int(one["at"]): one for one in _equal(rows)}
    if signatures:
        alike = {at for at in signatures.alike() if at not in told}
        told |= {one["at"]: one for one in _near(path, alike, near or 1.0)}
    texts = _texts(path, set(told))
    keep = [at not in told for at in range(rows.height)]
    return keep, [
        set_aside(one["row"], one["code"], one["reason"], texts[at])
        for at, one in sorted(told.items())
    ]


def _said(column: str) -> pl.Expr:
    """A side as one text: who says what, without outer white space."""
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content")
    turn = pl.concat_str(role, pl.lit("\x1f"), content.str.strip_chars())
    return pl.col(column).list.eval(turn).list.join("\x1e")


def _sides(frame: pl.DataFrame) -> list[str]:
    return [name for name in ("chosen", "rejected") if name in frame.columns]


def _prints(frame: pl.DataFrame) -> pl.DataFrame:
    """row and a hash of each side, as it is and without case and punctuation (`asked`, `plain_`);
    rows of prompts have no answers."""
    sides = _sides(frame)
    history, question, *answers = _parts(frame)
    asked = pl.concat_str(_plain(history), pl.lit("\x1e"), _plain(question)).hash()
    return frame.select(
        "row",
        prompt=_said("prompt").hash(),
        **{side: _said(side).hash() for side in sides},
        asked=asked,
        **{f"plain_{side}": _plain(text).hash() for side, text in zip(sides, answers, strict=True)},
    )


def _plain(text: pl.Expr) -> pl.Expr:
    """Its words alone, or the text itself where it has none."""
    words = text.str.to_lowercase().str.replace_all(NO_WORDS, " ").str.strip_chars()
    return pl.when(words == "").then(text).otherwise(words).fill_null("")


def _equal(rows: pl.DataFrame) -> list[Row]:
    pairs = "chosen" in rows.columns
    keys = ["prompt", "chosen", "rejected"] if pairs else ["prompt"]
    first = pl.col("row").first().over(keys)
    again = rows.with_columns(first=first, nth=pl.int_range(pl.len()).over(keys))
    code = "duplicate" if pairs else "repeated-prompt"
    what = "the same row as" if pairs else "the same prompt as"
    told = [
        {"at": at, "row": row, "code": code, "reason": f"{what} row {there}", "there": there}
        for at, row, there in again.filter(pl.col("nth") > 0)
        .select("at", "row", "first")
        .iter_rows()
    ]
    if not pairs:
        return told
    sense = ["asked", "plain_chosen", "plain_rejected"]
    # Answers that differ in case and punctuation alone are told apart by just these.
    same = pl.col("plain_chosen") == pl.col("plain_rejected")
    once = again.filter(pl.col("nth") == 0).with_columns(
        pl.when(same).then(side).otherwise(f"plain_{side}").alias(f"plain_{side}")
        for side in ("chosen", "rejected")
    )
    other = once.select(
        "asked", plain_chosen="plain_rejected", plain_rejected="plain_chosen", there="row"
    ).unique(sense, keep="first", maintain_order=True)
    against = once.join(other, on=sense, how="inner", maintain_order="left").filter(
        pl.col("row") != pl.col("there")
    )
    for at, row, there in against.select("at", "row", "there").iter_rows():
        reason = f"row {there} prefers the other of the same two answers"
        told.append({"at": at, "row": row, "code": "contradiction", "reason": reason})
    lost = set(against["row"])
    for one in told:  # what repeats a row that contradicts another contradicts it as well
        if one["code"] == "duplicate" and one["there"] in lost:
            one["code"] = "contradiction"
            one["reason"] += ", which another row contradicts"
    return told


def _parts(frame: pl.DataFrame) -> list[pl.Expr]:
    """What is compared by itself: the history, the last question, the chosen and the rejected
    answer. A system message stands before many rows: what it says makes none of them alike."""
    content = pl.element().struct.field("content")
    own = pl.element().filter(pl.element().struct.field("role") != "system").struct.field("content")
    turns = pl.col("prompt").list.eval(own)
    answers = [pl.col(side).list.eval(content).list.join(" ") for side in _sides(frame)]
    return [turns.list.slice(0, turns.list.len() - 1).list.join(" "), turns.list.last(), *answers]


def _words(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.replace_all(NO_WORD, "").str.extract_all(r"\S+")


def _runs(frame: pl.DataFrame) -> pl.DataFrame:
    """place, part, run: the hashes of three words in a row; of fewer words, of all of them."""
    word, at = pl.col("word"), pl.col("at")
    parts = _parts(frame)
    long = pl.concat(
        frame.lazy().select(at=pl.int_range(pl.len()) * len(parts) + part, words=_words(text))
        for part, text in enumerate(parts)
    )
    count = pl.col("words").list.len()
    short = long.filter(count.is_between(1, 2)).select(
        "at", run=pl.col("words").list.join(" ").hash(seed=SEED)
    )
    three = (
        long.filter(count > 2)
        .explode("words")
        .select("at", word=pl.col("words").hash(seed=SEED))
        .select(
            "at",
            run=word * MULTIPLIERS[0] + word.shift(-1) * MULTIPLIERS[1] + word.shift(-2),
            inside=at == at.shift(-2),
        )
        .filter("inside")
        .select("at", "run")
    )
    return (
        pl.concat([short, three])
        .select(place=at // len(parts), part=at % len(parts), run="run")
        .sort("place")
        .collect()
    )


class _Signatures:
    """MinHash signatures of all rows, by rensa; rows below three words have none."""

    def __init__(self) -> None:
        from rensa import RMinHashLSH

        self._index = RMinHashLSH(0.5, PERMUTATIONS, BANDS)
        self._matrices: list[Any] = []
        self._places: list[pl.Series] = []
        self._seen = 0
        self._read = 0

    def add(self, frame: pl.DataFrame) -> None:
        runs = _runs(frame)
        matrix, places = _matrix(runs)
        self._index.insert_matrix(matrix, self._seen)
        self._matrices.append(matrix)
        self._places.append(places + self._read)
        self._seen += len(places)
        self._read += frame.height

    def alike(self) -> list[int]:
        """Places of the rows that share a band with another row: those worth a closer look."""
        found: list[int] = []
        for matrix, places in zip(self._matrices, self._places, strict=True):
            flags = pl.Series(self._index.query_duplicate_flags_matrix(matrix), dtype=pl.Boolean)
            found += places.filter(flags).to_list()
        return found


def _matrix(runs: pl.DataFrame) -> tuple[Any, pl.Series]:
    """(signatures, which place each belongs to)."""
    import numpy as np
    from rensa import RMinHash

    counts = runs.group_by("place", maintain_order=True).len()
    offsets = np.concatenate([[0], np.cumsum(counts["len"].to_numpy())]).astype(np.uint64)
    flat = np.ascontiguousarray(runs["run"].to_numpy())
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, PERMUTATIONS, SEED)
    return matrix, counts["place"]


def _near(path: Path, places: set[int], least: float) -> Iterator[Row]:
    """Rows that are like an earlier one that stays, by the Jaccard index of their runs.

    Only rows that stay are remembered: many copies of one row cost no more than one.
    """
    stays: list[tuple[int, Runs]] = []  # row number, runs of each part
    bands: dict[tuple[int, ...], list[int]] = defaultdict(list)  # band -> where in `stays`
    with progress("near-duplicates", len(places), "row") as advance:
        for part in _picked(path, places):
            yield from _near_in(part, least, stays, bands)
            advance(part.height)


def _near_in(
    part_of: pl.DataFrame,
    least: float,
    stays: list[tuple[int, Runs]],
    bands: dict[tuple[int, ...], list[int]],
) -> Iterator[Row]:
    size = PERMUTATIONS // BANDS
    runs = _runs(part_of)
    matrix, found = _matrix(runs)
    sets: dict[int, dict[int, frozenset[int]]] = defaultdict(dict)
    for place, part, run in runs.group_by("place", "part").agg("run").iter_rows():
        sets[place][part] = frozenset(run)
    for place, signature in zip(found, matrix.to_rows(), strict=True):
        at, row = part_of["at"][place], part_of["row"][place]
        keys = [(band, *signature[band * size : (band + 1) * size]) for band in range(BANDS)]
        mine = sets[place]
        met = set(chain.from_iterable(bands.get(key, ()) for key in keys))
        indices = ((_alike(mine, stays[one][1], least), -one) for one in met)
        index, there = max(indices, default=(0.0, 0))
        if index >= least:
            reason = f"{100 * index:.0f} % like row {stays[-there][0]}"
            yield {"at": at, "row": row, "code": "near-duplicate", "reason": reason}
            continue
        for key in keys:
            bands[key].append(len(stays))
        stays.append((row, mine))


def _alike(one: Runs, other: Runs, least: float) -> float:
    """The least Jaccard index of the parts: rows whose answers changed sides are not alike, nor
    are two turns of one conversation, however much of it they share. 0 below `least`."""
    if one.keys() != other.keys():
        return 0.0
    index = 1.0
    for part in one:
        index = min(index, _jaccard(one[part], other[part]))
        if index < least:
            return 0.0
    return index


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _picked(path: Path, places: set[int]) -> Iterator[pl.DataFrame]:
    """The rows at some places of the file, each with its `at`."""
    start, wanted = 0, pl.Series(sorted(places), dtype=pl.Int64).implode()
    for batch in batches_of(path):
        frame = batch.with_columns(at=pl.int_range(start, start + batch.height))
        here = frame.filter(pl.col("at").is_in(wanted))
        if here.height:
            yield here
        start += batch.height


def _texts(path: Path, places: set[int]) -> dict[int, str]:
    """What a person needs to find a row again: its last question, and its chosen answer."""
    texts: dict[int, str] = {}
    for part in _picked(path, places):
        for row in part.iter_rows(named=True):
            sides = [row["prompt"], *([row["chosen"]] if "chosen" in row else [])]
            texts[row["at"]] = "\n".join(side[-1]["content"] for side in sides if side)
    return texts
