"""The store by itself: what it must never accept, and many writers at once."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localhub.errors import HubError
from localhub.pulls import Pulls
from localhub.records import Change, RepoId
from localhub.store import Store

REPO = RepoId("models", "ann", "m")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "root")
    store.create(REPO, private=False, user="ann", files={})
    return store


def commit(store: Store, *changes: Change, parent: str | None = None) -> str:
    made = store.commit(REPO, "main", changes, parent=parent, title="t", message="", user="ann")
    return made.id


def test_a_damaged_content_is_refused_and_leaves_nothing(store: Store) -> None:
    sha256 = hashlib.sha256(b"right").hexdigest()
    for damaged in (b"wrong", b"righ", b"right and more"):
        with pytest.raises(HubError, match=r"came"), store.receive(sha256, 5) as incoming:
            incoming.write(damaged)
            incoming.finish()
        assert not store.has_blob(sha256)
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/x", "a//b", "./a", "a\\..\\b", ".git/config", "a\nb", "", "a/"],
)
def test_a_path_that_could_lead_out_of_a_folder_is_refused(store: Store, path: str) -> None:
    with pytest.raises(HubError, match="cannot be a file"):
        commit(store, Change(path, store.keep(b"x")))


@pytest.mark.parametrize(
    "repo",
    [
        *(("..", "x"), ("ann", ".."), ("ann", "../../x"), ("ann", "a--b"), ("ann", "x.git")),
        *(("api", "x"), ("datasets", "x"), ("ann", ""), ("ann", "a" * 97), ("-ann", "x")),
    ],
)
def test_a_name_that_is_no_repository_name_is_refused(store: Store, repo: tuple[str, str]) -> None:
    with pytest.raises(HubError) as refused:
        store.create(RepoId("models", *repo), private=False, user="ann", files={})
    assert refused.value.status == 400


@pytest.mark.parametrize("name", ["", "a b", "refs/pr/1", "a..b", "a.lock", "/a", "0" * 40, "a~1"])
def test_a_tag_name_git_would_refuse_is_refused(store: Store, name: str) -> None:
    with pytest.raises(HubError, match="cannot name"):
        store.add_tag(REPO, name, "main")


def test_a_file_cannot_stand_where_a_folder_is(store: Store) -> None:
    commit(store, Change("a/b", store.keep(b"1")))
    with pytest.raises(HubError, match="folder"):
        commit(store, Change("a", store.keep(b"2")))
    commit(store, Change("a", None, folder=True), Change("a", store.keep(b"2")))
    assert list(store.resolve(store.repository(REPO), "main").files) == ["a"]


def test_a_commit_is_all_or_nothing(store: Store) -> None:
    head = commit(store, Change("keep", store.keep(b"1")))
    with pytest.raises(HubError, match="doesn't exist"):
        commit(store, Change("new", store.keep(b"2")), Change("never there", None))
    assert store.resolve(store.repository(REPO), "main").id == head


def test_of_many_writers_with_one_parent_one_wins_and_without_parent_none_is_lost(
    store: Store,
) -> None:
    head = commit(store, Change("start", store.keep(b"")))

    def race(number: int) -> str | int:
        try:
            return commit(store, Change("same", store.keep(b"%d" % number)), parent=head)
        except HubError as error:
            return error.status

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(race, range(8)))
        assert results.count(412) == 7
        made = set(pool.map(lambda n: commit(store, Change(f"f{n}", store.keep(b"x"))), range(24)))

    repository = store.repository(REPO)
    newest = store.resolve(repository, "main")
    assert {f"f{number}" for number in range(24)} < set(newest.files)
    assert made < {past.id for past in store.history(repository, newest)}


def test_a_name_is_a_branch_or_a_tag_but_not_both(store: Store) -> None:
    head = commit(store, Change("a", store.keep(b"1")))
    store.add_tag(REPO, "v1", head[:7])
    for add in (store.add_tag, store.add_branch):
        with pytest.raises(HubError) as refused:
            add(REPO, "v1", "main")
        assert refused.value.status == 409
    commit(store, Change("a", store.keep(b"2")))
    assert store.resolve(store.repository(REPO), "v1").id == head
    assert store.resolve(store.repository(REPO), "refs/tags/v1").id == head
    store.delete_tag(REPO, "v1")
    with pytest.raises(HubError) as gone:
        store.resolve(store.repository(REPO), "v1")
    assert gone.value.code == "RevisionNotFound"


def propose(store: Store, *changes: Change, parent: str) -> None:
    Pulls(store).propose(REPO, changes, parent=parent, title="t", message="", user="ann")


def test_a_merge_takes_what_the_request_changed_and_leaves_what_main_changed(store: Store) -> None:
    def add(path: str, content: bytes = b"1") -> Change:
        return Change(path, store.keep(content))

    base = commit(store, add("both gone"), add("main's"), add("file"), add("folder/x"), add("same"))
    gone = Change("both gone", None)
    commit(store, gone, add("main's", b"2"), add("same", b"2"), add("main's too"))
    turned = (Change("file", None), add("file/y"), Change("folder", None, folder=True))
    propose(store, gone, *turned, add("folder"), add("same", b"2"), add("new"), parent=base)

    merged = Pulls(store).merge(REPO, 1, "ann", None)

    repository = store.repository(REPO)
    main = store.resolve(repository, "main")
    assert main.id == merged.merged == store.resolve(repository, "refs/heads/main").id
    assert sorted(main.files) == ["file/y", "folder", "main's", "main's too", "new", "same"]
    assert main.files["main's"] == main.files["same"] == store.keep(b"2")
    assert repository.discussions[0].status == "merged"


def test_of_two_requests_for_one_path_the_second_conflicts_unless_it_says_the_same(
    store: Store,
) -> None:
    base = commit(store, Change("a", store.keep(b"1")))
    for content in (b"2", b"3", b"2"):
        propose(store, Change("a", store.keep(content)), parent=base)
    pulls = Pulls(store)
    pulls.merge(REPO, 1, "ann", None)
    with pytest.raises(HubError) as refused:
        pulls.merge(REPO, 2, "ann", None)
    assert refused.value.status == 409
    assert store.repository(REPO).discussions[1].status == "open"
    pulls.merge(REPO, 3, "ann", None)


def test_many_requests_at_once_get_numbers_of_their_own(store: Store) -> None:
    base = commit(store, Change("a", store.keep(b"1")))
    with ThreadPoolExecutor(8) as pool:
        wanted = [Change(f"f{number}", store.keep(b"x")) for number in range(16)]
        list(pool.map(lambda change: propose(store, change, parent=base), wanted))
    repository = store.repository(REPO)
    assert list(repository.pulls) == [f"refs/pr/{number}" for number in range(1, 17)]
    heads = [store.resolve(repository, head) for head in repository.pulls.values()]
    assert {path for head in heads for path in head.files} == {"a", *(c.path for c in wanted)}


def test_a_store_of_an_earlier_version_is_read(store: Store) -> None:
    saved = store.root / "repos" / "models" / "ann" / "m" / "repo.json"
    told = json.loads(saved.read_text())
    for later in ("gated", "discussions"):
        del told[later]
    saved.write_text(json.dumps(told))
    repository = store.repository(REPO)
    assert (repository.gated, repository.discussions) == (False, [])
    store.add_tag(REPO, "v1", "main")
