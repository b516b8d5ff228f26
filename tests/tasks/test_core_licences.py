"""What an upstream card allows: read at its commit, not invented, and refused in words."""

from pathlib import Path

import pytest

from tasks.core.errors import InputError, Refused
from tasks.core.hub import endpoint
from tasks.core.licences import (
    Upstream,
    must_be_private,
    require_publishable,
    said_by,
    upstream,
    warnings,
)
from tasks.core.publish import Repository, commit_repository, create


def card(folder: Path, text: str | None, private: bool = False) -> Repository:
    """A model repository of that card."""
    name = f"pairpress/licence-of-{folder.name}"
    target = Repository(part="base", repo=name, repo_type="model")
    create(target, private=private)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    if text is not None:
        (folder / "README.md").write_text(text)
    return commit_repository(target, folder, "base")


def test_a_card_is_read_at_the_pinned_commit_and_not_as_it_is_now(
    hub: object, tmp_path: Path
) -> None:
    first = card(tmp_path / "moved", "---\nlicense: mit\nlanguage:\n- 'no'\n---\n")
    card(tmp_path / "moved", "---\nlicense: cc-by-nc-4.0\n---\n")
    found = upstream(first.repo, first.commit, "model")
    assert (found.licences, found.licence, found.language) == (("mit",), "mit", ("no",))
    assert upstream(first.repo, "main", "model").licence == "cc-by-nc-4.0"


def test_a_licence_below_an_empty_line_is_read(hub: object, tmp_path: Path) -> None:
    of = card(tmp_path / "lower", "\n---\nlicense: cc-by-nc-4.0\n---\n# x\n")
    found = upstream(of.repo, of.commit, "model")
    assert found.licence == "cc-by-nc-4.0"
    with pytest.raises(Refused, match="forbids commercial use"):
        require_publishable({"base": found}, private=False, allowed=False)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "# No header\n", "---\na: b\n---\n", "---\nlicense: other\n---\n"),
        *("---\nlicense: Unknown\n---\n", "---\nlicense: 'null'\n---\n"),
        "---\nlicense: other\nlicense_name: unknown\n---\n",
    ],
)
def test_a_card_that_names_no_licence_gives_other_and_a_warning(
    hub: object, tmp_path: Path, text: str | None
) -> None:
    of = card(tmp_path / f"unknown-{abs(hash(text))}", text)
    found = upstream(of.repo, of.commit, "model")
    assert (found.licences, found.name, found.known) == (("other",), "unknown", False)
    (told,) = warnings({"base": found})
    assert told.startswith(f"the licence of {of.repo} (base) is not known")


def test_a_licence_with_a_name_of_its_own_links_to_the_file_beside_the_card() -> None:
    header = {"license": "other", "license_name": "qwen-research", "license_link": "LICENSE"}
    found = said_by("Qwen/q", "c" * 40, "model", header)
    assert found.licence == "qwen-research" and found.known
    assert found.link == f"{endpoint()}/Qwen/q/blob/{'c' * 40}/LICENSE"


@pytest.mark.parametrize(
    ("licence", "name", "why"),
    [
        ("cc-by-nc-4.0", None, "forbids commercial use"),
        ("cc-by-nc-nd-4.0", None, "forbids commercial use"),
        ("cc-by-nd-4.0", None, "forbids derivatives"),
        ("other", "stabilityai-nc-research-community", "forbids commercial use"),
        ("other", "Some Non-Commercial License", "forbids commercial use"),
        ("other", "qwen-research", "allows research only"),
        ("intel-research", None, "allows research only"),
        ("other", "CC BY-NC 4.0", "forbids commercial use"),
        ("other", "Creative Commons Attribution Non Commercial", "forbids commercial use"),
        ("non_commercial", "x", "forbids commercial use"),
        ("other", "my-noncommercial", "forbids commercial use"),
        ("other", "noncomercial", "forbids commercial use"),
        ("other", "nscl", "forbids commercial use"),
        ("nsclv1", None, "forbids commercial use"),
        ("other", "academic use only", "is for academic, personal or trial use only"),
        ("other", "Personal_Use_Only", "is for academic, personal or trial use only"),
        ("other", "evaluation-only", "is for academic, personal or trial use only"),
        ("research only", None, "allows research only"),
        ("other", "research use", "allows research only"),
        ("other", "Academic Free License v3.0", None),
        ("cc-by-nc-4.0", "x", "forbids commercial use"),
        ("other", "mrl", "forbids commercial use"),
        ("mit", None, None),
        ("apache-2.0", None, None),
        ("cc-by-sa-4.0", None, None),
        ("llama3.1", None, None),
        ("other", "tongyi-qianwen", None),
        ("cdla-permissive-2.0", None, None),
        ("openrail++", None, None),
        ("other", "unknown", None),
    ],
)
def test_which_licences_stand_against_a_public_release(
    licence: str, name: str | None, why: str | None
) -> None:
    one = Upstream(repo="a/b", licences=(licence,), name=name)
    assert one.forbids == why
    if why is None:
        require_publishable({"base": one}, private=False, allowed=False)
    else:
        with pytest.raises(Refused, match=rf"a/b \(base\) has the licence .*, which {why}, and"):
            require_publishable({"base": one}, private=False, allowed=False)
    require_publishable({"base": one}, private=True, allowed=False)
    require_publishable({"base": one}, private=False, allowed=True)


def test_a_name_counts_without_an_identifier_and_beside_one() -> None:
    alone = said_by("a/b", "c" * 40, "model", {"license_name": "fair noncommercial"})
    assert alone.known and alone.forbids == "forbids commercial use"
    both = said_by("a/b", "c" * 40, "model", {"license": "cc-by-nc-4.0", "license_name": "x"})
    assert both.licence == "cc-by-nc-4.0, x" and both.forbids == "forbids commercial use"


def test_one_of_several_licences_is_enough_to_refuse() -> None:
    both = said_by("a/b", "c" * 40, "dataset", {"license": ["mit", "cc-by-nc-4.0"]})
    assert both.forbids == "forbids commercial use"


def test_a_gated_or_private_upstream_makes_a_release_private(hub: object, tmp_path: Path) -> None:
    of = card(tmp_path / "hidden", None, private=True)
    closed = upstream(of.repo, of.commit, "model")
    gated = Upstream(repo="meta/llama", gated=True)
    reasons = must_be_private({"base": gated, "data": closed, "judge": Upstream(repo="a/b")})
    assert reasons == ["meta/llama (base) is gated", f"{of.repo} (data) is private"]


def test_an_upstream_that_is_not_there_is_told_in_words(hub: object) -> None:
    with pytest.raises(InputError, match=r"pairpress/nowhere@main: not found"):
        upstream("pairpress/nowhere", "main", "model")
