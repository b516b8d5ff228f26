"""git itself is the judge of ids and of what a .gitignore leaves out."""

import subprocess
from pathlib import Path

import pytest

from localhub import gitids
from localhub.card import card_tags, complaints, front_matter
from localhub.gitignore import ignored
from localhub.lfs import belongs_in_lfs

FILES = {
    "README.md": b"# Title\n",
    "a.txt": b"before a/ in plain order, behind a-b",
    "a/deep/er/x.bin": bytes(range(256)),
    "a/deep/y": b"",
    "a-b": "ünïcode".encode(),
    "a0": b"sorts behind a/",
    "späť/ž.txt": b"names outside ASCII",
}


def git(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip()


def test_blobs_trees_and_commits_have_the_ids_git_gives_them(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    git(tmp_path, "add", "-A")
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (
            ("NAME", "ann"),
            ("EMAIL", "ann@localhub"),
            ("DATE", "1700000000 +0000"),
        )
    }
    root = git(tmp_path, "write-tree")
    first = git(tmp_path, "commit-tree", root, "-m", "one", **who)
    second = git(tmp_path, "commit-tree", root, "-p", first, "-m", "two", "-m", "and why", **who)

    trees = gitids.tree_ids({path: gitids.blob_id(content) for path, content in FILES.items()})

    assert trees[""] == root
    assert trees["a/deep"] == git(tmp_path, "rev-parse", f"{first}:a/deep")
    assert gitids.tree_ids({})[""] == git(tmp_path, "mktree")  # of nothing: the empty tree
    # git ends a message with a newline; ours is the text as it came.
    assert gitids.commit_id(root, None, "ann", 1700000000, "one\n") == first
    assert gitids.commit_id(root, first, "ann", 1700000000, "two\n\nand why\n") == second


@pytest.mark.parametrize(
    "rules",
    [
        "*.log\n!keep.log\n",
        "build/\n/top.txt\n",
        "docs/*.txt\n",
        "**/cache\nlogs/**\na/**/z\n",
        "# a comment\n\n\\#odd\n*.p[yw]\n[!a-c].dat\ntrail   \n",
        "build\n!build/keep.log\n",
        "a*b*c\n*?.p*\nl*s/**/*c*\n",
        "[z-a]\n[x[]*\nsub/**/[]d]*\n",
    ],
)
def test_a_gitignore_means_here_what_it_means_to_git(tmp_path: Path, rules: str) -> None:
    paths = [
        *(
            "x.log",
            "keep.log",
            "sub/keep.log",
            "sub/x.log",
            "build/a",
            "sub/build/a",
            "build/keep.log",
        ),
        *("top.txt", "sub/top.txt", "docs/a.txt", "docs/sub/a.txt", "sub/docs/a.txt", "trail"),
        *("cache/a", "sub/cache", "logs/a", "logs/b/c", "a/z", "a/b/z", "a/b/c/z", "ab/z"),
        *("#odd", "m.py", "m.pw", "m.pyc", "a.dat", "d.dat", "sub/d.dat"),
    ]
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(rules)
    expected = git(tmp_path, "check-ignore", "--no-index", *paths).splitlines()

    assert ignored(rules, paths) == set(expected)
    assert expected


def test_front_matter_becomes_metadata_and_tags() -> None:
    block = "license: mit\nlanguage: [en]\ntags:\n- dpo\ndatasets: a/b\nwhen: 2024-01-02"

    metadata = front_matter(f"---\n{block}\n---\n# Title")

    assert metadata["when"] == "2024-01-02"
    assert card_tags(metadata) == ["dpo", "en", "license:mit", "dataset:a/b"]
    assert front_matter("# no metadata\n\n---\n\na: b\n---") == {}
    assert complaints(front_matter("---\nlanguage: no\n---\n")) == [
        '"language" must be a text or a list of texts, not false'
    ]
    with pytest.raises(ValueError, match="not valid YAML"):
        front_matter("---\ntags: [dpo\n---\n")


def test_weights_binaries_and_large_texts_go_to_lfs_and_cards_do_not() -> None:
    text = b"plain text"
    assert belongs_in_lfs("a/model.safetensors", 10, text)
    assert belongs_in_lfs("tokenizer.json", 10 * 1024 * 1024 + 1, text)
    assert belongs_in_lfs("notes", 4, b"a\0bc")
    assert not belongs_in_lfs("tokenizer.json", 10 * 1024 * 1024, text)
    assert not belongs_in_lfs("README.md", 3, "é".encode()[:1])  # a sample cut inside a letter
    assert not belongs_in_lfs("empty.bin", 0, b"")
