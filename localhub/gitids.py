"""File contents and paths -> the ids that git itself would give them.

in   bytes, {path: blob id}, commit fields
out  sha1 ids of blobs, LFS pointers, trees and commits   https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
     the LFS pointer text        https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md#the-pointer
"""

import hashlib
from collections.abc import Mapping


def _object_id(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def blob_id(content: bytes) -> str:
    return _object_id("blob", content)


def lfs_pointer(sha256: str, size: int) -> bytes:
    """What git stores in place of a large file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def tree_ids(blobs: Mapping[str, str]) -> dict[str, str]:
    """{path: blob id} -> {folder: tree id}; the whole tree is the folder ''."""
    entries: dict[str, dict[str, tuple[str, str]]] = {"": {}}  # folder -> name -> (mode, id)
    for path, blob in blobs.items():
        folder, _, name = path.rpartition("/")
        entries.setdefault(folder, {})[name] = ("100644", blob)
        while folder:
            folder = folder.rpartition("/")[0]
            entries.setdefault(folder, {})
    trees: dict[str, str] = {}
    # Deepest first: the id of a folder is made from the ids of the folders in it.
    for folder in sorted(entries, key=lambda path: (path.count("/"), path != ""), reverse=True):
        # git sorts a folder as if its name ended in a slash.
        listing = sorted(
            entries[folder].items(),
            key=lambda item: (item[0] + "/" * (item[1][0] == "40000")).encode(),
        )
        body = b"".join(
            f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, (mode, oid) in listing
        )
        trees[folder] = _object_id("tree", body)
        if folder:
            parent, _, name = folder.rpartition("/")
            entries[parent][name] = ("40000", trees[folder])
    return trees


def commit_id(tree: str, parent: str | None, user: str, seconds: int, message: str) -> str:
    who = f"{user} <{user}@localhub> {seconds} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}"]
    return _object_id("commit", "\n".join([*lines, f"committer {who}", "", message]).encode())
