"""A data set on the Hub at a commit -> its files, or its raw columns where they must be made.

in   a repository, the commit that its revision stands for, what a recipe or the check asks of it
out  for a run files in the stage's folder; for the check Loaded (tasks.core.forms) of each split

Files of kinds that tasks.core.blocks reads are fetched and read as local ones are, so that a row is
treated the same wherever it comes from. Others, parts of a split, files that the card says how to
read, and streams come through `datasets` and its columns. What is wrong is told in words.
"""

import gzip
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tasks.core.errors import InputError
from tasks.core.form_names import FormName
from tasks.core.forms import Loaded, checked, require_columns
from tasks.core.hub import hub_errors
from tasks.core.load import rows_of
from tasks.core.progress import progress
from tasks.core.sources import files_of, is_known

if TYPE_CHECKING:
    from tasks.core.settings import Data, Reading

BATCH = 1_000  # rows of a Hub data set that are held at once
REASON_SHOWN = 300  # characters of what `datasets` says
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # how a packed file fails in a stream
FILES = "files"  # the folder in a stage's folder where they have their paths in the repository
WHICH = {"name", "version", "data_dir", "data_files", "description"}  # not how files are read


def resolve_data(repo: str, revision: str) -> tuple[str, str | None]:
    """(commit sha, licence as the card names it) of a data set repository."""
    from huggingface_hub import HfApi

    with hub_errors(f"data.path {repo}@{revision}"):
        info = HfApi().dataset_info(repo, revision=revision)
    licence = info.card_data.get("license") if info.card_data else None
    return str(info.sha), licence


def load_hub_splits(
    repo: str, sha: str, form: FormName | None = None, name: str | None = None
) -> dict[str, Loaded]:
    """Read and check every split of one configuration."""
    asked = {} if name is None else {"name": name}
    with _found(repo, sha, asked, option="--name") as found:
        own = {split: found.own_files(split) for split in found.splits}
        if found.splits and all(own.values()):
            return {
                split: checked(found.rows_of(files), f"{repo}[{split}]", form)
                for split, files in own.items()
                if files
            }
        splits = found.read().items()
        return {split: _check_split(rows, f"{repo}[{split}]", form) for split, rows in splits}


def _check_split(data: Any, name: str, form: FormName | None) -> Loaded:
    if not len(data):
        return checked([], name)
    columns = require_columns(data.column_names, name)
    return checked(enumerate(data.select_columns(columns), start=1), name, form)


def store_hub(data: "Data", reading: "Reading", sha: str, folder: Path) -> None:
    """Put the files of a split into a folder, or its raw columns as parquet files.

    Those are part-00000.parquet and so on: another begins where the columns change, as those of a
    stream may from one of its files to the next.
    """
    asked = data.model_dump(include={"name", "data_dir", "data_files"}, exclude_none=True)
    with _found(data.path, sha, asked, folder) as found:
        found.require_split(data.split)
        own = None if reading.streaming else found.own_files(data.split)
        if own:
            found.fetch(own).rename(folder / FILES)
        else:
            _store_columns(data, reading, found, folder)


def stored_files(folder: Path) -> list[tuple[str, Path]]:
    """What store_hub put there: (path in the repository, path here)."""
    own = folder / FILES
    if own.is_dir():
        return [(path.relative_to(own).as_posix(), path) for path in files_of(str(own))]
    return [(path.name, path) for path in sorted(folder.glob("part-*.parquet"))]


def _store_columns(data: "Data", reading: "Reading", found: "_Found", folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = found.read(split=data.split, streaming=reading.streaming)
    if reading.max_rows is not None:
        rows = rows.take(reading.max_rows)
    parts, writer = 0, None
    total = reading.max_rows if reading.streaming else len(rows)
    with progress(f"read {data.path}", total, "row") as advance:
        for table in rows.with_format("arrow").iter(BATCH):
            if writer is None or not writer.schema.equals(table.schema):
                if writer:
                    writer.close()
                writer = pq.ParquetWriter(folder / f"part-{parts:05}.parquet", table.schema)
                parts += 1
            writer.write_table(table)
            advance(len(table))
    if writer is None:
        raise InputError(f"{data.path}[{data.split}]: empty, no rows. Name another split.")
    writer.close()


@dataclass(frozen=True)
class _Found:
    """One configuration of a data set at a commit, before any of its rows is read."""

    repo: str
    sha: str
    asked: Mapping[str, str]
    builder: Any  # datasets.DatasetBuilder
    scratch: Path  # a folder that goes when the reading is done

    @property
    def splits(self) -> list[str]:
        return [str(split) for split in self.builder.config.data_files or {}]

    def require_split(self, asked: str) -> None:
        """`train[:10%]` and `train+test` are known to `datasets` too."""
        named = [part.partition("[")[0].strip() for part in asked.split("+")]
        missing = next((one for one in named if one not in [*self.splits, "all"]), None)
        if missing is not None and self.splits:
            raise InputError(
                f"{self.repo}@{self.sha[:8]}: has no split {missing!r}, but "
                f"{', '.join(self.splits)}. Set data.split to one of them."
            )

    def own_files(self, split: str) -> list[str] | None:
        """Paths of a whole split's files, if each is one that we read as it stands."""
        config = self.builder.config
        plain = type(config)()
        if any(
            getattr(config, one.name) != getattr(plain, one.name)
            for one in fields(config)
            if one.name not in WHICH
        ):
            return None
        at = f"hf://datasets/{self.repo}@{self.sha}/"
        urls = [str(url) for url in (config.data_files or {}).get(split, [])]
        if not all(url.startswith(at) and is_known(url) for url in urls):
            return None
        return [url.removeprefix(at) for url in urls]

    def fetch(self, paths: list[str]) -> Path:
        """The folder in which they have these paths."""
        from huggingface_hub import hf_hub_download

        folder = self.scratch / FILES
        with progress(f"fetch {self.repo}", len(paths), "file") as advance:
            for path in paths:
                hf_hub_download(
                    self.repo, path, repo_type="dataset", revision=self.sha, local_dir=folder
                )
                advance(1)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes
        return folder

    def rows_of(self, paths: list[str]) -> list[tuple[int, Any]]:
        folder = self.fetch(paths)
        try:
            return rows_of([folder / path for path in sorted(paths)], every=False)
        except InputError as error:  # with their names on the Hub, not here
            named = str(error).replace(f"{folder}/", f"{self.repo}@{self.sha[:8]}/")
            raise InputError(named) from error

    def read(self, **how: Any) -> Any:
        """Through `datasets`."""
        from datasets import load_dataset

        # With a cache, `datasets` falls back to what it once stored of another commit.
        return load_dataset(
            self.repo, revision=self.sha, cache_dir=str(self.scratch), **self.asked, **how
        )


@contextmanager
def _found(
    repo: str,
    sha: str,
    asked: Mapping[str, str],
    beside: Path | None = None,
    option: str = "data.name",
) -> Iterator[_Found]:
    """What goes wrong with it, also later, comes in words; `option`: where a person says `name`.

    What `datasets` stores on the way stands in a folder `beside`, and goes.
    """
    try:
        from datasets import load_dataset_builder
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise InputError(
            f"{repo}: reading a Hub data set needs `datasets`. Install pairpress[pipeline]."
        ) from error
    try:
        with (
            hub_errors(f"data.path {repo}@{sha[:8]}"),
            TemporaryDirectory(dir=beside, prefix=".cache-") as scratch,
        ):
            try:
                builder = load_dataset_builder(repo, revision=sha, cache_dir=scratch, **asked)
            except ValueError as error:
                _require_configuration(repo, sha, asked.get("name"), option, str(error))
                raise
            yield _Found(repo, sha, asked, builder, Path(scratch))
    except (DatasetsError, ValueError, FileNotFoundError, RuntimeError, *DAMAGED) as error:
        if isinstance(error, InputError):
            raise
        named = str(error.__cause__ or "") or str(error)  # the cause says what it was
        reason = " ".join(named.splitlines()[:2])[:REASON_SHOWN]
        settings = "".join(f"data.{key} ({value}), " for key, value in asked.items())
        raise InputError(
            f"{repo}@{sha[:8]}: cannot be read ({reason}). Check {settings}and the files: one may "
            "be damaged, without rows or of other columns; data.data_files names a part of them."
        ) from error


def _require_configuration(repo: str, sha: str, name: str | None, option: str, told: str) -> None:
    """`told`: what `datasets` says of a data set that has others, or several and none is named."""
    if not re.match(r"Config name is missing|BuilderConfig '.*' not found", told):
        return
    from datasets import get_dataset_config_names

    names = ", ".join(get_dataset_config_names(repo, revision=sha))
    missing = "" if name is None else f", and no {name!r}"
    raise InputError(
        f"{repo}@{sha[:8]}: has the configurations {names}{missing}. Set {option} to one of them."
    )
