"""What stands on the Hub that the next release builds on: people's own words, and the last pairs.

in   a release's repositories
out  by part what people wrote on its card; what became of the pairs since the last version
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.core.cards import peoples
from tasks.core.changed_rows import Changed, compare
from tasks.core.hub import reading, retrying
from tasks.core.publish import Repository, exists, last_complete, versions
from tasks.core.stage import Folder
from tasks.core.trees import head_of


def peoples_words(targets: list[Repository]) -> dict[str, str]:
    """Of the cards on main. A repository that is not there yet has none, nor has our own card: a
    release that was killed half-way to main finds itself whole again."""
    found = {one.part: peoples(_card(one)) for one in targets if exists(one)}
    return {part: words for part, words in found.items() if words}


def _card(target: Repository) -> str:
    from huggingface_hub.errors import RemoteEntryNotFoundError

    commit = head_of(target, api=reading)

    def fetch() -> str:
        try:  # by commit: what the cache holds under it cannot be stale
            path = reading().hf_hub_download(
                target.repo, "README.md", repo_type=target.repo_type, revision=commit
            )
        except RemoteEntryNotFoundError:
            return ""
        return Path(path).read_bytes().decode("utf-8", "replace")

    return retrying(f"{target.repo}@{commit[:8]}", fetch)


def changed_pairs(name: str, pairs: Folder) -> Changed:
    """Against the data set of the last release that is whole."""
    tagged = versions(name)
    complete = last_complete(name, tagged)
    with TemporaryDirectory() as scratch:
        new = Path(scratch) / "data"
        new.mkdir()
        (new / "rows.parquet").symlink_to(pairs.path / "rows.parquet")
        if complete is None:
            return compare(None, new.parent)
        last, _ = complete

        def fetch() -> str:
            return reading().snapshot_download(
                f"{name}-pairs",
                repo_type="dataset",
                revision=tagged[last]["dataset"],
                allow_patterns="data/*",
            )

        old = Path(retrying(f"{name}-pairs@v{last}", fetch))
        return compare(old, new.parent, f"v{last}")
