"""One line of key=value pairs, as log collectors read them: https://brandur.org/logfmt.

in   {"stage": "load", "cached": False, "rows": 100, "note": "two words"}
out  stage=load cached=false rows=100 note="two words"
"""

import json
import re
from collections.abc import Mapping

Value = str | int | float | bool


def line(values: Mapping[str, Value]) -> str:
    return " ".join(f"{key}={_written(value)}" for key, value in values.items())


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and not re.search(r'[\s="\\]', text) and text.isprintable()
    return text if plain else json.dumps(text, ensure_ascii=False)
