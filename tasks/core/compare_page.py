"""A comparison of two models -> what a person reads: tables in a terminal, and a page.

in   Comparison of tasks.core.compare
out  rich tables; compare.html, which needs nothing else and no network, and compare.json

On the page the words of A that are not in B are struck out, and those of B that are not in A are
marked: https://docs.python.org/3/library/difflib.html
"""

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.answers import Answer
from tasks.core.compare import Comparison
from tasks.core.errors import InputError
from tasks.core.fields import Message

if TYPE_CHECKING:
    from rich.table import Table

TEMPLATES = Path(__file__).parents[1] / "templates"

# A word, a character of a script that puts no spaces between words, or a mark; and what space is
# behind it.
ALONE = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
MARKS = r"\u0000-/:-@\[-`{-\u00bf\u2010-\u206f\u3000-\u303f\uff00-\uff20"
WORD = re.compile(rf"(?:[{ALONE}]|[^{ALONE}{MARKS}]+(?:['’][^{ALONE}{MARKS}]+)*|\S|^)\s*")
SPACES = re.compile(r"[^\S\n]+")

Pieces = list[tuple[str, bool]]  # (text, whether only this side says it)


def differences(a: str, b: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces, in order and whole. The width of a space is no difference.

    >>> differences("I am Qwen.", "I am Deep Qwen.")
    ([('I am ', False), ('Qwen.', False)], [('I am ', False), ('Deep ', True), ('Qwen.', False)])
    """
    left, right = WORD.findall(a), WORD.findall(b)
    matcher = difflib.SequenceMatcher(
        a=[SPACES.sub("", word) for word in left],
        b=[SPACES.sub("", word) for word in right],
        autojunk=False,
    )
    found = matcher.get_opcodes()
    in_a = [("".join(left[i:j]), what != "equal") for what, i, j, _, _ in found if i < j]
    in_b = [("".join(right[i:j]), what != "equal") for what, _, _, i, j in found if i < j]
    return in_a, in_b


def figures(compared: Comparison) -> list[tuple[str, str, str]]:
    """(what, of A, of B); what is of both stands under B."""
    a, b = compared.a.figures, compared.b.figures
    count = len(compared.answers)
    rows = [
        ("tokens of an answer, mean", f"{a.answer_tokens:.1f}", f"{b.answer_tokens:.1f}"),
        ("answers cut off or failed", _of(a.unfinished, count), _of(b.unfinished, count)),
        ("answers that refuse", _of(a.refusals, count), _of(b.refusals, count)),
        ("perplexity of a kept text", _number(a.perplexity), _number(b.perplexity)),
    ]
    for what, of_a, of_b in (("old", a.old_name, b.old_name), ("new", a.new_name, b.new_name)):
        if of_a is not None and of_b is not None:
            rows.append((f"answers that say the {what} name", _of(of_a, count), _of(of_b, count)))
    rows.append(("equal answers", "", _of(compared.equal, count)))
    if compared.kl is not None:
        rows.append(("KL(B || A) over B's answers, nats a token", "", _number(compared.kl)))
    return rows


def notes(compared: Comparison) -> list[str]:
    """What a person should know before reading the figures."""
    told = [
        f"Each question is asked alone, and answered greedily, in fp32, with at most "
        f"{compared.max_new_tokens} tokens."
    ]
    if compared.renames:
        told.append(f"Names, by the release: {'; '.join(compared.renames)}.")
    if not compared.same_tokens:
        told.append(
            "Their vocabularies differ: perplexities of different tokens are not comparable, and "
            "there is no KL divergence."
        )
    return told


def tables(compared: Comparison) -> "list[Table]":
    """The answers that differ, then the figures."""
    from rich.table import Table
    from rich.text import Text

    heads = ("question", f"A  {compared.a.name}", f"B  {compared.b.name}")
    answers = Table(show_lines=True)
    for head in heads:
        answers.add_column(Text(head))
    for one in compared.answers:
        if not one.equal:
            texts = (asked(one.prompt), said(one.a), said(one.b))
            answers.add_row(*(Text(_printable(text)) for text in texts))
    equal = sum(one.equal for one in compared.answers)
    if equal:
        answers.add_row(
            f"{equal} of {len(compared.answers)} questions", "the same answer of both", ""
        )
    numbers = Table()
    for head in ("", "A", "B"):
        numbers.add_column(head, justify="right" if head else "left")
    for row in figures(compared):
        numbers.add_row(*row)
    return [answers, numbers]


def write(compared: Comparison, folder: Path) -> None:
    """compare.json and compare.html. Raises InputError if they cannot be written."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    page = templates.get_template("compare.html.j2").render(
        compared=compared,
        figures=figures(compared),
        notes=notes(compared),
        differing=[
            (asked(one.prompt), *differences(said(one.a), said(one.b)))
            for one in compared.answers
            if not one.equal
        ],
        equal=[(asked(one.prompt), said(one.a)) for one in compared.answers if one.equal],
    )
    text = json.dumps(compared.as_dict(), indent=1, ensure_ascii=False)
    with _writing(folder):
        (folder / "compare.html").write_text(page, "utf-8")
        (folder / "compare.json").write_text(text + "\n", "utf-8")


def report_folder(name: str) -> Path:
    """The folder of --report, made before anything long is done."""
    if not name:
        raise InputError("--report: empty. Give it a folder, or leave it out.")
    folder = Path(name)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise InputError(f"--report {place}: cannot be written ({error.strerror}).") from error


def asked(prompt: list[Message]) -> str:
    """A question as a person reads it: several turns below each other, with who says them."""
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)


def said(answer: Answer) -> str:
    if answer.error is not None:
        return f"[no answer: {answer.error}]"
    return answer.text + ("" if answer.finished else " [cut off]")


def _of(share: float, count: int) -> str:
    return f"{round(share * count)} of {count}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _printable(text: str) -> str:
    """A random model says anything, also what moves a terminal's cursor."""
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text)
