"""The data set check inside Prefect: what `pairpress check` says, as a run with its report.

python -m flows.check_dataset owner/name
"""

import sys

from prefect import flow

from expectations.measures.suite import Profile
from tasks.check_dataset import check_sources
from tasks.core.check_files import Told
from tasks.core.form_names import FormName


@flow(name="check-dataset", log_prints=False)
def check_dataset(
    source: str | list[str],
    profile: Profile | None = None,
    suite_file: str | None = None,
    allow: str | list[str] | None = None,
    reference: str | None = None,
    against: str | None = None,
    tokenizer: str | None = None,
    read_as: FormName | None = None,
    name: str | None = None,
) -> str:
    """Every setting as on the command line; returns the folder of the report."""
    sources = [source] if isinstance(source, str) else source
    allowed = [allow] if isinstance(allow, str) else allow or []
    told = Told(profile, suite_file, tuple(allowed), reference, against, tokenizer, read_as, name)
    return str(check_sources(sources, told))


if __name__ == "__main__":
    print(check_dataset(sys.argv[1:]))
