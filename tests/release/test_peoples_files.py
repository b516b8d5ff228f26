"""What people put into the repositories of a release stays there, or nothing is released."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from kilobytes import (
    messages,
    publish,
    put,
    release_folder,
    staged,
    standing,
    write_manifest,
)

from localhub.client_env import Server
from tasks.core import trees
from tasks.core.errors import InputError
from tasks.core.peoples_files import is_written
from tasks.core.promoting import promote_all
from tasks.core.proposing import propose
from tasks.core.publish import Repository, commit_repository, create, repositories

THEIRS = {"LICENSE": b"do as you like", "weights/old.gguf": b"GGUF\0"}


def put_all(target: Repository, files: dict[str, bytes] = THEIRS) -> None:
    for path, data in files.items():
        put(target, path, data)


def names(target: Repository, revision: str = "main") -> set[str]:
    return set(trees.tree_of(target, revision)) - {".gitattributes"}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_first_release_goes_beside_them(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/beside-first", release_folder(tmp_path, "A")
    model = repositories(name)[2]
    create(model, private=False)
    put_all(model, THEIRS | {"README.md": b"---\nlicense: mit\n---\nmy words"})
    publish(name, folder, "A")
    assert names(model) == names(model, "v1") == files_of(folder / "model") | set(THEIRS)


def test_the_next_one_takes_away_its_own_files_and_none_of_theirs(
    hub: Server, tmp_path: Path
) -> None:
    name, folder = "pairpress/beside-next", release_folder(tmp_path, "B", "v2")
    model = repositories(name)[2]
    publish(name, release_folder(tmp_path, "A"), "A")
    put_all(model)
    (folder / "model" / "tokenizer.json").unlink()
    write_manifest(folder, "B", "v2")
    publish(name, folder, "B", "v2")
    assert names(model) == files_of(folder / "model") | set(THEIRS)
    before = standing(name)
    publish(name, folder, "B", "v2")
    assert standing(name) == before


def test_a_pull_request_takes_none_of_theirs_away(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/beside-proposed", release_folder(tmp_path, "A")
    data = repositories(name)[0]
    create(data, private=False)
    put_all(data)
    placed = staged(name, folder, "A")
    for one in propose(placed, "v1", ""):
        kind = "dataset" if one.part == "dataset" else "model"
        HfApi().merge_pull_request(one.repo, one.number, repo_type=kind)
    released = promote_all(staged(name, folder, "A"), "v1", messages("v1"))
    assert not any(one.committed for one in released)
    assert names(data) == files_of(folder / "dataset") | set(THEIRS)


@pytest.mark.parametrize("how", ["never-ours", "ours", "another-part"])
def test_one_of_a_name_that_a_release_writes_is_not_overwritten(
    hub: Server, tmp_path: Path, how: str
) -> None:
    name, folder = f"pairpress/beside-{how}", release_folder(tmp_path, "B", "v2")
    model, taken = repositories(name)[2], "model.safetensors"
    if how == "ours":
        publish(name, release_folder(tmp_path, "A"), "A")
        (folder / "model" / "extra.txt").write_text("ours")
        write_manifest(folder, "B", "v2")
        taken = "extra.txt"
    else:
        create(model, private=False)
    put_all(model, {taken: b"somebody's"})
    if how == "another-part":  # release.repository is the name of another release's adapter
        listed = '"files": {"model": {"model.safetensors": {}}}'
        put(
            model,
            "release.json",
            f'{{"repositories": {{"adapter": "{name}"}}, {listed}}}'.encode(),
        )
    before = standing(name)
    with pytest.raises(InputError, match=rf"beside-{how}: main holds {taken}.* another name"):
        staged(name, folder, "B", "v2")
    assert standing(name) == before


def test_a_release_of_before_files_were_listed_is_followed(hub: Server, tmp_path: Path) -> None:
    name, folder = "pairpress/beside-older", release_folder(tmp_path, "B", "v2")
    model = repositories(name)[2]
    create(model, private=False)
    put_all(model, {"config.json": b"{}", "merges.txt": b"old", **THEIRS})
    put(model, "release.json", f'{{"repositories": {{"model": "{name}"}}}}'.encode())
    publish(name, folder, "B", "v2")
    assert names(model) == files_of(folder / "model") | set(THEIRS)


def test_what_a_rehearsal_or_a_demo_makes_up_goes_into_nobody_s_repository(
    hub: Server, tmp_path: Path
) -> None:
    target = Repository(part="base", repo="pairpress/beside-seed", repo_type="model")
    create(target, private=False)
    put_all(target)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"beside-seed: is somebody's own \('by hand'\)"):
        commit_repository(target, tmp_path, "Made up")
    assert names(target) == set(THEIRS)


def test_a_plan_knows_what_a_release_writes(tmp_path: Path) -> None:
    folder = release_folder(tmp_path, "A")
    for part in ("dataset", "adapter", "model"):
        for name in files_of(folder / part) - {"README.md"}:
            assert is_written(part, name), name
