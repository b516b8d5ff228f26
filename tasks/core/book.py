"""prefect.yaml as the recipe book: which recipes it holds, without checking them.

in   the file that `prefect deploy` reads, too
out  deployments of release_model, each a recipe by its name; InputError for a file of another form
     https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml

Apart from recipes.py, which knows every setting: `pairpress list` starts without them.
"""

from pathlib import Path
from typing import Any

import yaml

from tasks.core.errors import InputError

FLOW = "flows/release_model.py:release_model"
BESIDE_US = Path(__file__).parents[2] / "prefect.yaml"


def recipe_book(path: Path | None = None) -> Path:
    """The file named, or prefect.yaml here, or the one beside the package."""
    if path is None:
        here = Path("prefect.yaml")
        path = here if here.is_file() else BESIDE_US
    if not path.is_file():
        raise InputError(
            f"{path}: no such recipe file. Give one of prefect.yaml's form by --recipe."
        )
    return path


def deployments(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> deployment, of those that run release_model."""
    try:
        book = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    listed = book.get("deployments") if isinstance(book, dict) else None
    if not isinstance(listed, list):
        raise InputError(f"{path}: no list `deployments`, so no recipe. See prefect.yaml.")
    recipes = {}
    for one in listed:
        if not isinstance(one, dict) or "name" not in one:
            raise InputError(f"{path}: a deployment without a name: {one!r}. Give it one.")
        if one.get("entrypoint") == FLOW:
            recipes[str(one["name"])] = one
    if not recipes:
        raise InputError(f"{path}: no deployment runs {FLOW}, so it holds no recipe.")
    return recipes
