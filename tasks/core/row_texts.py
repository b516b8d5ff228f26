"""Some rows of a block -> the text of each as its own file has it, to show and to mend.

in   a Block (tasks.core.blocks) and the numbers of rows in it
out  number -> text: the line of JSONL, the element of a JSON array as it is written there; of other
     kinds the row as JSON. Each can be stored as UTF-8
"""

import json
from collections.abc import Iterator, Set
from typing import Any

from tasks.core.blocks import RECORDS, Block, Broken, as_written, values_of


def texts_of_rows(block: Block, numbers: Set[int]) -> dict[int, str]:
    """Of a row that was set aside before: the text that its own file had. A blank line has none."""
    return dict(_texts(block, numbers)) if numbers else {}


def _texts(block: Block, numbers: Set[int]) -> Iterator[tuple[int, str]]:
    if block.lines is not None:
        lines = block.lines.split(b"\n")
        some = {number: lines[number - block.first] for number in numbers}
        aside = any(b'"record"' in line for line in some.values())
        before = _records(block, numbers) if aside else {}
        for number, line in some.items():
            text = before.get(number) or line.decode(errors="backslashreplace").removesuffix("\r")
            if text.strip():
                yield number, text
        return
    before = _records(block, numbers)
    for number, value in values_of(block):
        if number not in numbers:
            continue
        if number in before:
            yield number, before[number]
        elif isinstance(value, Broken):
            yield number, value.text
        elif block.array is not None:
            yield number, block.array.of(number)
        else:
            yield number, _as_json(value)


def _records(block: Block, numbers: Set[int]) -> dict[int, str]:
    """Text of the rows that were set aside before, so that no record comes to hold another."""
    return {
        number: record if isinstance(record := value["record"], str) else _as_json(record)
        for number, value in as_written(block)
        if number in numbers and isinstance(value, dict) and value.keys() >= RECORDS
    }


def _as_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which no file takes but as an escape
        return json.dumps(value, default=str)
    return text
