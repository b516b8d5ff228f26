"""Files or Hub data sets -> the verdict of the suite about them, its report left with the run."""

from pathlib import Path

from tasks.core.check_files import Told, read
from tasks.preflight import tokens_from_blocks
from tasks.reporting import report_of
from tasks.show_report import show_report
from tasks.staged import passing, run_folder, stage_task


@stage_task("check", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def check_sources(sources: list[str], told: Told) -> Path:
    """The folder of the report; raises if a check crashed or a gate failed."""
    tokens_from_blocks()
    folder = run_folder() / "report"
    report_of(read(sources, told), folder)
    show_report("check", folder)
    return folder
