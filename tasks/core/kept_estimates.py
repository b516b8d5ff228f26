"""What a rehearsal has measured of a recipe, kept for its plan.

in   the recipe in full, the sentences of its estimate
out  estimates/KEY.json in the work folder; the key is over the settings that cost time
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.core.settings import Recipe
from tasks.core.unchanged import settings_that_count

NO_TIME = ("release", "gate", "checks")  # settings that take none, or hardly


class Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    date: str
    lines: tuple[str, ...]


def keep(work: Path, recipe: Recipe, lines: list[str]) -> None:
    """`work`: the person's own work folder, not the rehearsal's."""
    path = _path(work, recipe)
    path.parent.mkdir(exist_ok=True)
    date = datetime.now(UTC).date().isoformat()
    path.write_text(Kept(date=date, lines=tuple(lines)).model_dump_json())


def kept(work: Path, recipe: Recipe) -> Kept | None:
    """Of a recipe with these very settings; None where none was rehearsed here."""
    path = _path(work, recipe)
    return Kept.model_validate_json(path.read_text()) if path.is_file() else None


def _path(work: Path, recipe: Recipe) -> Path:
    counted = settings_that_count(recipe)
    for section in NO_TIME:
        del counted[section]
    key = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
    return work / "estimates" / f"{key[:16]}.json"
