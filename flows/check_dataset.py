"""The data set check inside Prefect: what `pairpress check` says, as a run with its report.

python -m flows.check_dataset owner/name
"""

import sys

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from expectations.measures.suite import Profile
from tasks.alerts import AT_THE_END
from tasks.check_dataset import check_sources
from tasks.core.check_files import Told
from tasks.core.form_names import FormName


class Suite(BaseModel):
    """Which checks, and what the data are compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Profile | None = Field(None, description="Empty: told by the data")
    suite_file: str | None = Field(None, description="YAML file that changes checks")
    allow: tuple[str, ...] = Field(
        (), description="name=NEW:OLD, differences that an identity set may have"
    )
    reference: str | None = Field(
        None, description="File or owner/name to compare lengths and languages with"
    )
    against: str | None = Field(
        None, description="Test file whose prompts must not stand in the sources"
    )
    tokenizer: str | None = Field(
        None, description="Folder or owner/name: counts tokens by its chat template"
    )


@flow(name="check-dataset", log_prints=False, **AT_THE_END)
def check_dataset(
    source: list[str],
    suite: Suite = Suite(),
    read_as: FormName | None = None,
    name: str | None = None,
) -> str:
    """Does a shortcut give chosen away from rejected? Returns the folder of the report.

    Args:
        source: Files, or owner/name[@revision] on the Hub; several are judged as one data set.
        suite: Which checks, and what the data are compared with; docs/checks.md tells every check.
        read_as: Form of the rows, as in docs/forms.md. Empty: told by columns and first rows.
        name: Configuration of a Hub data set that has several.
    """
    told = Told(**dict(suite), read_as=read_as, name=name)
    return str(check_sources(source, told))


if __name__ == "__main__":
    print(check_dataset(sys.argv[1:]))
