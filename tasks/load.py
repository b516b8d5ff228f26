"""`data.path` -> raw rows in .pairpress, with the digest or the commit they came from."""

from pathlib import Path
from typing import Any

from tasks.core import fields, forms, load, rows
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
            name, found = data.path, load.load_file(data.path)
        else:
            name = f"{data.path}[{data.split}]"
            sha = source["source_digest"]
            found = load.load_hub(data.path, sha, data.data_dir, data.split)
        forms.require_no_faults(found, name)
        rows.write_rows(folder / "rows.parquet", found.rows)
        return {"form": found.form, "rows": len(found.rows)} | source

    return staged("load", made_from, (load, forms, fields, rows), make)
