"""The rows that are about to leave: access tokens in them, and who can be reached by what they say.

in   a parquet file of a release
out  `Looked`: tokens by row, masked; e-mail addresses and phone numbers, counted
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from expectations.measures.contacts import EMAIL, PARTS, PHONE
from expectations.measures.tokens_in_text import perhaps
from tasks.core.known_secrets import secrets_in

EXAMPLES = 5
BATCH = 5_000  # rows


@dataclass
class Looked:
    """At one file."""

    name: str
    rows: int
    held: list[tuple[int, str]]  # row, "GitHub Token ghp_…1a2b"
    emails: int
    phones: int
    examples: list[str]


def look_at_rows(path: Path, name: str, secrets: Iterable[str]) -> Looked:
    looked = Looked(name=name, rows=0, held=[], emails=0, phones=0, examples=[])
    for rows in _texts_of_rows(path):
        looked.rows += rows.height
        looked.held += [
            (row, one)
            for row, text in rows.filter(perhaps(pl.col("text")) | _any_of(secrets)).iter_rows()
            for _, one in secrets_in(text, secrets)
        ]
        reached = rows.filter(
            pl.any_horizontal(pl.col("text").str.contains(part) for part in PARTS)
        ).with_columns(
            emails=pl.col("text").str.extract_all(EMAIL),
            phones=pl.col("text").str.extract_all(PHONE),
        )
        looked.emails += int(reached["emails"].list.len().sum())
        looked.phones += int(reached["phones"].list.len().sum())
        looked.examples += [
            f"{masked(one)} in {name}, row {row}"
            for row, _, emails, phones in reached.head(10 * EXAMPLES).iter_rows()
            for one in [*emails, *phones]
        ][:EXAMPLES]
    return looked


def masked(contact: str) -> str:
    """j…@example.org; +49…67: enough to find it, too little to reach anybody."""
    if "@" in contact:
        return f"{contact[0]}…@{contact.rpartition('@')[2]}"
    number = re.sub(r"^[^0-9+(]+|[^0-9]+$", "", contact)
    return f"{number[:3]}…{number[-2:]}"


def _texts_of_rows(path: Path) -> Iterator[pl.DataFrame]:
    """row, text: all that stands in a row's columns of text; its number in the source, if known."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    numbered = "row" in file.schema_arrow.names
    start = 0
    for batch in file.iter_batches(BATCH):
        rows = pl.DataFrame(batch)
        said = [name for name, kind in rows.schema.items() if name != "row" and _speaks(kind)]
        if said and rows.height:
            text = pl.struct(said).struct.json_encode()
            for escaped, plain in ((r"\n", "\n"), (r"\t", "\t"), (r"\r", "\r"), (r"\"", '"')):
                text = text.str.replace_all(escaped, plain, literal=True)
            row = pl.col("row") if numbered else pl.int_range(start + 1, start + rows.height + 1)
            yield rows.select(row.alias("row"), text.alias("text"))
        start += rows.height


def _speaks(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List | pl.Array):
        return _speaks(kind.inner)  # type: ignore[arg-type]
    if isinstance(kind, pl.Struct):
        return any(_speaks(field.dtype) for field in kind.fields)  # type: ignore[arg-type]
    return kind in (pl.String, pl.Categorical, pl.Enum)


def _any_of(words: Iterable[str]) -> pl.Expr:
    return pl.any_horizontal(
        pl.lit(False), *(pl.col("text").str.contains(word, literal=True) for word in words)
    )


def quoted(paths: set[str], tables: Iterable[Path], spoken: Iterable[str]) -> set[str]:
    """Those that stand in a row, or in what a model said."""
    said = list(spoken)
    left = {path for path in paths if not any(path in text for text in said)}
    for table in tables if left else ():
        for rows in _texts_of_rows(table):
            left = {
                path for path in left if not rows["text"].str.contains(path, literal=True).any()
            }
    return paths - left
