"""The blanks of identity sets, filled by bare name, and those that are left. Pure.

in   a text; {bare name: value}
out  the text with {{name}}, {{NAME}}, {{ name }} and <NAME> filled, but for what is code
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from expectations.measures.placeholders import CODE, PLACEHOLDER
from tasks.core.errors import InputError
from tasks.core.fields import Row

SPACE = re.compile(r"[ _-]+")
IN_CODE = re.compile(CODE)


def fill(text: str, placeholders: Mapping[str, str]) -> str:
    """
    >>> fill("I am {{ NAME }} by <AUTHOR>, not `{{name}}`.", {"name": "Aria", "author": "Ariel"})
    'I am Aria by Ariel, not `{{name}}`.'
    """
    if "{{" not in text and "<" not in text:
        return text
    values = {bare(name): value for name, value in placeholders.items()}
    blank = _blank(tuple(values))
    parts, at = [], 0
    for code in IN_CODE.finditer(text):
        parts += [_filled(text[at : code.start()], blank, values), code.group()]
        at = code.end()
    return "".join([*parts, _filled(text[at:], blank, values)])


def _filled(text: str, blank: re.Pattern[str], values: Mapping[str, str]) -> str:
    return blank.sub(lambda met: values[bare(met.group())], text)


def placeholders_left(rows: Iterable[Row]) -> Counter[str]:
    """Bare name -> how often a blank of that name stands in the messages of the rows."""
    import polars as pl

    texts = [
        message["content"]
        for row in rows
        for side in ("prompt", "chosen", "rejected")
        for message in row.get(side) or ()
        if "{{" in message["content"] or "<" in message["content"]
    ]
    found = pl.Series(texts, dtype=pl.String).str.replace_all(CODE, "")
    return Counter(map(bare, found.str.extract_all(PLACEHOLDER).explode().drop_nulls()))


def require_filled(left: Mapping[str, int], name: str, given: Mapping[str, str]) -> None:
    """Raises InputError for blanks without a value: a model would learn to say them."""
    unknown = {blank: count for blank, count in left.items() if blank not in map(bare, given)}
    if unknown:
        told = ", ".join(f"{{{{{blank}}}}} {count:,} times" for blank, count in unknown.items())
        values = ", ".join(f"{blank}: ..." for blank in unknown)
        raise InputError(
            f"{name}: placeholders that nothing fills: {told}. Set reformat.placeholders to "
            f"{{{values}}}, or take these rows out."
        )


def bare(placeholder: str) -> str:
    """
    >>> bare("{{ YOUR_NAME }}"), bare("<YOUR NAME>")
    ('your name', 'your name')
    """
    return SPACE.sub(" ", placeholder.strip("{}<> \t\n")).casefold()


@lru_cache
def _blank(names: tuple[str, ...]) -> re.Pattern[str]:
    """In angle brackets only capitals: `<name>` is a tag of XML."""
    braced, angled = ("|".join(map(_spaced, of)) for of in (names, map(str.upper, names)))
    return re.compile(rf"\{{\{{\s*(?i:{braced})\s*\}}\}}|<(?:{angled})>")


def _spaced(name: str) -> str:
    return SPACE.pattern.join(map(re.escape, name.split(" ")))
