"""The last look before anything is staged: does a release hold what is nobody's business?

in   the folder of a release: dataset/, adapter/, model/
out  `Found`, who can be reached by what its rows say; Refused names file and line of an access
     token or of a place on this machine. Tokens are shown masked, wherever they are shown

Every text is looked at (configurations, cards, manifests, reports, logs), the header of safetensors
(https://huggingface.co/docs/safetensors), and the rows of the data. Rows are refused for tokens
alone: what they say of paths, e-mail addresses and phone numbers is data. So a path that a report
or a card quotes from a row, or from what a model said, is no leak either; a folder of this very
run is one wherever it stands. Of a tokenizer the vocabulary is left out: any word may be in it.
"""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from expectations.measures.tokens_in_text import hidden
from tasks.core.errors import Refused
from tasks.core.known_secrets import assigned_in, known_secrets, secrets_in, unescaped
from tasks.core.leaving_rows import EXAMPLES, look_at_rows, quoted
from tasks.core.local_paths import Here, named_in_file_name, names_in, this_machine
from tasks.core.safe_weights import header

VOCABULARIES = ("vocab.json", "merges.txt")
SHOWN = 3
PEEK = 8_192
TEXTS = (".json", ".jsonl", ".md", ".yaml", ".jinja", ".txt", ".html", ".xml")  # in UTF-8


@dataclass(frozen=True)
class Found:
    """What a person should know of rows that are about to leave."""

    files: int
    rows: int
    emails: int
    phones: int
    examples: tuple[str, ...]  # "j…@example.org in dataset/data/train.parquet, row 12"

    @property
    def sentence(self) -> str:
        said = (
            f"No access token and no place of this machine in {self.files} files and {self.rows} "
            f"rows; the rows hold e-mail addresses: {self.emails}, phone numbers: {self.phones}"
        )
        return said + (f" ({'; '.join(self.examples)})." if self.examples else ".")


class Hit(NamedTuple):
    place: str  # "model/config.json:3"
    what: str
    quotable: str | None = None


def scan(folder: Path, spoken: Iterable[str] = ()) -> Found:
    """Raise Refused for a leak. `spoken`: what models said, as cards quote it."""
    here, secrets = this_machine(), known_secrets()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hits = [hit for path in files for hit in _hits(path, folder, here, secrets)]
    tables = [path for path in files if path.suffix == ".parquet"]
    names = [path.relative_to(folder).as_posix() for path in tables]
    looked = [look_at_rows(path, name, secrets) for path, name in zip(tables, names, strict=True)]
    hits += [
        Hit(f"{one.name}, row {row}", f"holds {told}") for one in looked for row, told in one.held
    ]
    said = quoted({hit.quotable for hit in hits if hit.quotable}, tables, spoken)
    _refuse([hit for hit in hits if hit.quotable not in said])
    return Found(
        files=len(files),
        rows=sum(one.rows for one in looked),
        emails=sum(one.emails for one in looked),
        phones=sum(one.phones for one in looked),
        examples=tuple(example for one in looked for example in one.examples)[:EXAMPLES],
    )


def require_clean(name: str, text: str, spoken: Iterable[str] = ()) -> None:
    """The same for what leaves beside the files: a commit's message, a description."""
    hits = list(
        _in_lines(name, list(enumerate(text.split("\n"), 1)), this_machine(), known_secrets())
    )
    said = quoted({hit.quotable for hit in hits if hit.quotable}, [], spoken)
    _refuse([hit for hit in hits if hit.quotable not in said])


def _refuse(hits: list[Hit]) -> None:
    if not hits:
        return
    told = "; ".join(f"{hit.place}: {hit.what}" for hit in hits[:SHOWN])
    more = f"; and {len(hits) - SHOWN} more" if len(hits) > SHOWN else ""
    raise Refused(
        f"{told}{more}. Nothing was published. Remove it from where it comes from: the recipe, the "
        "data, the card's own sections; have a token revoked by its owner, too."
    )


def _hits(path: Path, folder: Path, here: Here, secrets: frozenset[str]) -> Iterator[Hit]:
    name = path.relative_to(folder).as_posix()
    if named_in_file_name(name, here):
        yield Hit(name, f"the file's name holds this machine's name {here.host}")
    try:
        lines = _lines(path)
    except ValueError:  # no UTF-8, no JSON, no safetensors
        yield Hit(name, "cannot be read as what its name says, so nobody knows what it holds")
        return
    yield from _in_lines(name, lines, here, secrets)
    if not lines and path.suffix != ".parquet":
        yield from (Hit(name, what) for what in _in_bytes(path, here, secrets))


def _in_lines(
    name: str, lines: list[tuple[int, str]], here: Here, secrets: frozenset[str]
) -> Iterator[Hit]:
    for at, one in secrets_in("\n".join(line for _, line in lines), secrets):
        yield Hit(f"{name}:{lines[at][0]}", f"holds {one}")
    for number, line in lines:
        for what, said in names_in(line, here):
            yield Hit(f"{name}:{number}", f"names {what}", said)
        for what, said in assigned_in(line):
            yield Hit(f"{name}:{number}", f"holds {what}", said)


def _lines(path: Path) -> list[tuple[int, str]]:
    """(number, text) of a file's lines, as a reader sees them; nothing of what is no text."""
    text = _text(path)
    if not text:
        return []
    if path.name == "tokenizer.json" and text.startswith("{"):
        return _beside_vocabulary(text)
    lines = list(enumerate(text.split("\n"), start=1))
    if path.suffix in (".json", ".jsonl", ".ipynb"):
        return [(number, unescaped(line)) for number, line in lines]
    if path.suffix in (".html", ".xml", ".md", ".svg"):
        return [(number, html.unescape(line)) for number, line in lines]
    return lines


def _text(path: Path) -> str:
    if path.name in VOCABULARIES or path.suffix == ".parquet":
        return ""
    if path.suffix == ".safetensors":
        return json.dumps(header(path).get("__metadata__", {}), ensure_ascii=False)
    if path.suffix in TEXTS:
        text = path.read_text("utf-8")
        if "\0" in text:
            raise ValueError(f"{path.name}: UTF-16, or no text")
        return text
    with path.open("rb") as file:
        if b"\0" in file.read(PEEK):
            return ""
    return path.read_text("utf-8", errors="replace")


def _beside_vocabulary(text: str) -> list[tuple[int, str]]:
    """Every string of a tokenizer.json that is no entry of its vocabulary, with its line."""
    content = json.loads(text)
    for key in ("vocab", "merges"):
        if isinstance(content.get("model"), dict):
            content["model"].pop(key, None)
    return [
        (_line_of(one, text), one.replace("\n", " ")) for one in dict.fromkeys(_strings(content))
    ]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _line_of(found: str, text: str) -> int:
    at = max(text.find(json.dumps(found, ensure_ascii=ascii)) for ascii in (False, True))
    return text.count("\n", 0, max(at, 0)) + 1


def _in_bytes(path: Path, here: Here, secrets: Iterable[str]) -> Iterator[str]:
    """Pictures, vocabularies, sentencepiece models: this run's folders and secrets, as bytes."""
    content = path.read_bytes()
    for place in here.places:
        if place.encode() in content:
            yield f"names the local path {place}"
            break
    for secret in secrets:
        if secret.encode() in content:
            yield f"holds a secret of this process {hidden(secret)}"
