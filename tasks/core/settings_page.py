"""Every setting of a run as a person reads it: what the recipe sets, then all with the defaults.

in   a Recipe
out  Markdown: a table of what differs from the defaults, and the whole as YAML of the recipe book
"""

from typing import Any

import yaml
from pydantic import BaseModel

from tasks.core.settings import Recipe


def settings_page(recipe: Recipe) -> str:
    lines = [f"| `{name}` | {_short(was)} | {_short(value)} |" for name, value, was in _set(recipe)]
    table = "\n".join(["| set here | default | now |", "|---|---|---|", *lines])
    whole = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return f"{table}\n\nAll settings, those left alone too:\n\n```yaml\n{whole}```"


def _set(part: BaseModel, above: str = "") -> list[tuple[str, Any, Any]]:
    """(name, value, default) of each setting that is not its default; no default: None."""
    found = []
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if value == default:
            continue
        if isinstance(value, BaseModel):
            found += _set(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value, default))
    return found


def _short(value: Any) -> str:
    """As a cell of a table: the recipe's own words, on one line."""
    if value is None:
        return ""
    plain = (
        [one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in value]
        if isinstance(value, tuple)
        else value
    )
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n...\n").strip().replace("|", "\\|")
