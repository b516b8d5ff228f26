"""`data.path` -> raw rows in .pairpress, with the digest or the commit they came from."""

from pathlib import Path
from typing import Any

from tasks.core import load, rows
from tasks.core.settings import Data
from tasks.core.stage import Folder, file_digest
from tasks.staged import passing, stage_task, staged


@stage_task("load", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def load_rows(data: Data) -> Folder:
    """facts: form, rows, source (as given), digest (file sha256 or commit sha), licence."""
    source: dict[str, Any]
    if load.is_file(data.path):
        path = load.require_file(data.path)
        source = {"source": path.name, "source_digest": file_digest(path), "licence": None}
        made_from = source
    else:
        sha, licence = load.resolve_data(data.path, data.revision)
        source = {"source": data.path, "source_digest": sha, "licence": licence}
        made_from = source | {"data_dir": data.data_dir, "split": data.split}

    def make(folder: Path) -> dict[str, Any]:
        if load.is_file(data.path):
            form, found = load.load_file(data.path)
        else:
            form, found = load.load_hub(
                data.path, source["source_digest"], data.data_dir, data.split
            )
        rows.write_rows(folder / "rows.parquet", found)
        return {"form": form, "rows": len(found)} | source

    return staged("load", made_from, (load, rows), make)
