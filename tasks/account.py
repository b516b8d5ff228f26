"""Every source row is used or set aside: proven, and written where a person can read it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core import account, blocks, rows
from tasks.core.settings import Data
from tasks.core.stage import Folder
from tasks.load import source_files
from tasks.set_aside import as_lines
from tasks.staged import log, run_folder, stage_task, staged
from tasks.story import markdown


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
    page = _report(raw, facts, pairs) + (f"\n\n{where}" if facts["set_aside"] else "")
    markdown("data-report", "Source rows", page, f"{facts['read']:,} read = {used}")
    return folder


def _report(raw: Folder, facts: dict[str, Any], pairs: Folder) -> str:
    """Rows in, what became of them, and why each that is not used was set aside."""
    kept = pl.read_parquet(pairs.path / "rows.parquet", columns=["split"])["split"]
    split = ", ".join(f"{name} {count:,}" for name, count in Counter(kept.to_list()).items())
    lines = [
        "| | | rows |",
        "|---|---|---|",
        f"| **read** | {raw.facts['source']}, as {raw.facts['read_as']} | {facts['read']:,} |",
        f"| **used** | in {kept.len():,} pairs: {split} | {facts['used']:,} |",
        f"| **set aside** | | {facts['set_aside']:,} |",
    ]
    return "\n".join([*lines, *as_lines(facts["reasons"])])
