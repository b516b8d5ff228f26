"""Every source row is used or set aside: proven, and written where a person can read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.core import account, blocks, rows
from tasks.core.settings import Data
from tasks.core.stage import Folder
from tasks.load import source_files
from tasks.set_aside import as_table
from tasks.staged import log, markdown, run_folder, stage_task, staged


@stage_task("account")
def account_rows(raw: Folder, stages: Sequence[Folder], data: Data) -> Folder:
    """`stages`: all that set rows aside, the first of which read them, the last made the pairs.

    facts: read, used, set_aside (source rows) and reasons; a link in the run's own folder.
    """
    distinct = list({stage.path: stage for stage in stages}.values())
    pairs = distinct[-1]

    def make(folder: Path) -> dict[str, Any]:
        numbers = (batch["row"].to_list() for batch in rows.batches_of(pairs.path / "rows.parquet"))
        return account.write_account(
            folder / "set-aside.parquet",
            source_files(raw, data),
            [(stage.stage, stage.path / "set_aside.parquet") for stage in distinct],
            {row for batch in numbers for row in batch},
            distinct[0].facts["read"],
        )

    made_from = {"raw": raw.digest, "stages": [stage.digest for stage in distinct]}
    folder = staged("account", made_from, (account, blocks, rows), make, ("polars",))
    facts = folder.facts
    used = f"{facts['used']:,} used + {facts['set_aside']:,} set aside"
    link = run_folder() / "set-aside.parquet"
    log(f"account: {facts['read']:,} source rows = {used}: {link}")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.path / "set-aside.parquet")
    where = f"Mend the rows in `{link}` and feed that file in again as `data.path`."
    markdown("rows", "Source rows", f"{as_table(facts['reasons'])}\n\n{where}")
    return folder
