"""Publishing to a real localhub through the real client: one commit, one tag, nothing twice."""

import socket
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from localhub.access import add_user
from localhub.client_env import Server
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable, hub_errors
from tasks.core.publish import (
    Repository,
    commit_repository,
    create,
    preflight,
    published,
    repositories,
    tag,
)

READER, ALICE = "hf_mayOnlyReadAsPairpress", "hf_aliceWritesToHerOwnAndToAcme"


@pytest.fixture(autouse=True)
def users(hub: Server) -> None:
    """Beside the owner: the same user with a token that only reads, and alice of acme."""
    add_user(hub.root, READER, "pairpress", [], "read")
    add_user(hub.root, ALICE, "alice", ["acme"], "write")


def refusal(name: str) -> str:
    with pytest.raises(InputError) as refused:
        preflight(name)
    return str(refused.value)


def target_of(name: str) -> Repository:
    target = Repository(part="model", repo=f"pairpress/{name}", repo_type="model")
    create(target, private=False)
    return target


def fill(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def titles(target: Repository) -> list[str]:
    return [one.title for one in HfApi().list_repo_commits(target.repo, repo_type=target.repo_type)]


def names(target: Repository) -> set[str]:
    return set(HfApi().list_repo_files(target.repo, repo_type=target.repo_type)) - {
        ".gitattributes"
    }


def test_a_good_token_gives_the_full_name(hub: Server) -> None:
    assert preflight("fresh-name") == "pairpress/fresh-name"
    assert preflight("pairpress/fresh-name") == "pairpress/fresh-name"


def test_preflight_creates_nothing(hub: Server) -> None:
    for target in repositories(preflight("never-made")):
        assert not HfApi().repo_exists(target.repo, repo_type=target.repo_type)


def test_a_token_that_nobody_has_is_refused_without_being_shown(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretThatNobodyKnows")
    told = refusal("mine")
    assert told.startswith(f"the token: the Hub at {hub.url} refused the token (401)")
    assert "HF_TOKEN" in told and "hf_secret" not in told


def test_no_token_at_all_is_told_with_the_variable_to_set(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN" in refusal("mine")


def test_a_token_that_only_reads_is_refused(hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READER)
    told = refusal("mine")
    assert told.startswith("release.repository pairpress/mine: ")
    assert "may only read" in told and "write access" in told


def test_a_namespace_of_somebody_else_is_refused_with_those_one_may_use(hub: Server) -> None:
    told = refusal("acme/mine")
    assert "pairpress may not create it" in told and "writes to pairpress" in told


def test_a_namespace_of_one_s_organisation_is_one_s_own(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", ALICE)
    assert preflight("acme/ours") == "acme/ours"
    assert "writes to acme, alice" in refusal("pairpress/mine")


@pytest.mark.parametrize(("role", "may"), [("read", False), ("contributor", True), ("write", True)])
def test_of_an_organisation_one_must_be_more_than_a_reader(
    hub: Server, monkeypatch: pytest.MonkeyPatch, role: str, may: bool
) -> None:
    me = {"name": "pairpress", "orgs": [{"name": "acme", "roleInOrg": role}]}
    monkeypatch.setattr(HfApi, "whoami", lambda self: me)
    if may:
        assert preflight("acme/of-a-role") == "acme/of-a-role"
    else:
        assert "pairpress may not create it" in refusal("acme/of-a-role")


def test_an_existing_repository_of_somebody_else_is_refused(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as as_alice:
        as_alice.setenv("HF_TOKEN", ALICE)
        for target in repositories("alice/hers"):
            create(target, private=False)
    told = refusal("alice/hers")
    assert told.startswith("release.repository alice/hers-pairs: the token may not do this (403)")


@pytest.mark.parametrize("name", ["a/b/c", "pairpress/with space", "pairpress/--"])
def test_a_name_that_cannot_be_a_repository_is_told_so(hub: Server, name: str) -> None:
    assert "not a repository name" in refusal(name)


def test_a_release_has_three_repositories_and_the_model_goes_last() -> None:
    found = [(one.part, one.repo, one.repo_type) for one in repositories("me/mine")]
    assert found == [
        ("dataset", "me/mine-pairs", "dataset"),
        ("adapter", "me/mine-adapter", "model"),
        ("model", "me/mine", "model"),
    ]


def test_an_address_names_the_kind_of_repository(hub: Server) -> None:
    assert [one.url for one in repositories("me/mine")] == [
        f"{hub.url}/datasets/me/mine-pairs",
        f"{hub.url}/me/mine-adapter",
        f"{hub.url}/me/mine",
    ]


def test_a_new_repository_is_private_when_asked(hub: Server) -> None:
    for private in (True, False):
        target = Repository(part="m", repo=f"pairpress/private-{private}", repo_type="model")
        create(target, private)
        create(target, private)  # twice is fine
        assert HfApi().model_info(target.repo).private is private


def test_a_folder_becomes_one_commit_and_the_same_folder_none(hub: Server, tmp_path: Path) -> None:
    target = target_of("one-commit")
    before = len(titles(target))
    weights = bytes(range(256)) * 1000
    folder = fill(
        tmp_path / "out", README__md="---\nlicense: mit\n---\n", model__safetensors=weights
    )
    first = commit_repository(target, folder, "Release v1")
    assert first.committed and titles(target)[0] == "Release v1"
    assert len(titles(target)) == before + 1
    again = commit_repository(target, folder, "Release v1 again")
    assert (again.committed, again.commit) == (False, first.commit)
    assert len(titles(target)) == before + 1
    path = hf_hub_download(target.repo, "model.safetensors", revision=first.commit)
    assert Path(path).read_bytes() == weights


def test_a_repository_holds_exactly_the_folder_after_the_next_commit(
    hub: Server, tmp_path: Path
) -> None:
    target = target_of("exact")
    folder = fill(tmp_path / "out", a__txt="a", b__txt="b", old__bin=b"\0\1")
    commit_repository(target, folder, "one")
    assert names(target) == {"a.txt", "b.txt", "old.bin"}
    (folder / "old.bin").unlink()
    fill(folder, b__txt="changed", c__txt="c")
    second = commit_repository(target, folder, "one")
    assert second.committed and names(target) == {"a.txt", "b.txt", "c.txt"}
    assert Path(hf_hub_download(target.repo, "b.txt")).read_text() == "changed"
    (folder / "a.txt").unlink()
    assert commit_repository(target, folder, "one").committed
    assert names(target) == {"b.txt", "c.txt"}


def test_a_stage_s_own_done_json_stays_at_home(hub: Server, tmp_path: Path) -> None:
    target = target_of("stays-home")
    commit_repository(target, fill(tmp_path / "out", a__txt="a", done__json="{}"), "one")
    assert names(target) == {"a.txt"}


def test_a_missing_repository_is_told_by_name(hub: Server, tmp_path: Path) -> None:
    target = Repository(part="model", repo="pairpress/nowhere", repo_type="model")
    with pytest.raises(InputError, match=r"^pairpress/nowhere: not found on .* \(404\)"):
        commit_repository(target, fill(tmp_path / "out", a__txt="a"), "one")


def test_a_commit_without_write_access_is_refused(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of("guarded")
    monkeypatch.setenv("HF_TOKEN", ALICE)
    with pytest.raises(InputError, match=r"may not do this \(403\)"):
        commit_repository(target, fill(tmp_path / "out", a__txt="a"), "one")


def test_a_tag_may_be_given_twice_to_one_commit_and_never_to_another(
    hub: Server, tmp_path: Path
) -> None:
    target = target_of("tagged")
    first = commit_repository(target, fill(tmp_path / "out", a__txt="a"), "one")
    assert tag(first, "v1").version == "v1"
    assert tag(first, "v1") == first.model_copy(update={"version": "v1"})
    second = commit_repository(target, fill(tmp_path / "out", a__txt="b"), "one")
    with pytest.raises(Refused) as refused:
        tag(second, "v1")
    assert first.commit[:8] in str(refused.value) and second.commit[:8] in str(refused.value)
    assert published(target, "v1").commit == first.commit


def test_a_hub_that_is_not_there_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(HubUnavailable) as away, hub_errors("the token"):
            HfApi(endpoint=url).whoami(token="hf_any")
    assert str(away.value).startswith(f"the token: the Hub at {url} did not answer")
    assert "HF_ENDPOINT" in str(away.value) and "hf_any" not in str(away.value)


def test_what_may_pass_stays_worth_another_try_through_two_layers() -> None:
    with pytest.raises(HubUnavailable, match=r"^inner: "), hub_errors("outer"), hub_errors("inner"):
        raise ConnectionResetError("reset by peer")


def test_a_public_repository_is_not_made_private_behind_its_owner_s_back(hub: Server) -> None:
    target = target_of("public-already")
    with pytest.raises(InputError, match=r"public-already is public .*/settings"):
        create(target, private=True)
    create(target, private=False)
    assert HfApi().model_info(target.repo).private is False
