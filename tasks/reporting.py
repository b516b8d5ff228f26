"""Pairs and a suite -> the verdict of Great Expectations and the folder of its report. No Prefect.

in   frame of pairs, measures, what they are about
out  report.md, findings.json, junit.xml, report.png, data_docs/index.html
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from expectations import gate
from expectations.measures.measure import Measure
from tasks.core import report
from tasks.core.check_files import Read
from tasks.core.progress import progress
from tasks.core.report import Checked

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


def write_report(
    folder: Path, frame: pl.DataFrame, asked: Sequence[Measure], about: Checked
) -> gate.Verdict:
    with progress("checks", len(asked), "check") as advance:
        verdict = gate.validate(frame, asked, folder / "data_docs", lambda: advance(1))
    aside = {**about.set_aside, **report.set_aside(verdict.findings)}
    about = replace(about, set_aside=aside)
    report.write(folder, about, verdict.findings, verdict.crashed)
    return verdict


def report_of(read: Read, folder: Path) -> gate.Verdict:
    """The report about files or Hub data sets, as `tasks.core.check_files.read` has them."""
    judged = [source for source in read.sources if source.judged]
    about = Checked(
        source=", ".join(dict.fromkeys(source.split for source in judged)),
        read_as=", ".join(dict.fromkeys(source.read_as for source in judged)),
        profile=read.profile,
        rows=sum(source.rows for source in judged),
        left_out=read.left_out,
    )
    return write_report(folder, read.frame, read.asked, about)
