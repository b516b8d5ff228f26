"""The unchanged libraries against a running localhub: huggingface_hub and datasets."""

import hashlib
from collections.abc import Callable
from typing import Any

ClientSays = Callable[..., Any]


def test_a_release_is_created_committed_tagged_and_read_back(client_says: ClientSays) -> None:
    said = client_says(
        """
        import hashlib, pathlib
        from huggingface_hub import (
            CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, ModelCard,
            hf_hub_download, snapshot_download,
        )
        api, said, repo = HfApi(), {}, "pairpress/release"
        url = api.create_repo(repo, private=True)
        said["url"] = [url.repo_id, url.repo_type, api.create_repo(repo, exist_ok=True) == url]
        weights = bytes(range(256)) * 40_000
        card = "---\\nlicense: mit\\ntags: [dpo]\\nbase_model: a/b\\n---\\n# Card"
        def operations():
            return [
                CommitOperationAdd("README.md", card.encode()),
                CommitOperationAdd("config.json", b'{"model_type": "llama"}'),
                CommitOperationAdd("folder/model.safetensors", weights),
            ]
        api.create_branch(repo, branch="release/1.0")
        before = len(api.list_repo_commits(repo, revision="release/1.0"))
        head = api.repo_info(repo, revision="release/1.0").sha
        made = api.create_commit(
            repo, operations(), commit_message="one", commit_description="why",
            revision="release/1.0", parent_commit=head,
        )
        again = api.create_commit(
            repo, operations(), commit_message="again", revision="release/1.0"
        )
        history = api.list_repo_commits(repo, revision="release/1.0")
        said["history"] = [len(history) - before, again.oid == made.oid, history[0].title,
                           history[0].message, history[0].authors]
        api.create_tag(repo, tag="v1.0", revision=made.oid)
        api.create_commit(
            repo,
            [CommitOperationDelete("config.json"), CommitOperationDelete("folder/"),
             CommitOperationCopy("folder/model.safetensors", "moved.safetensors"),
             CommitOperationCopy("README.md", "docs/README.md")],
            commit_message="two", revision="release/1.0", parent_commit=made.oid,
        )
        said["files"] = [sorted(api.list_repo_files(repo, revision=revision))
                         for revision in ("main", "v1.0", "release/1.0")]
        folder = pathlib.Path(snapshot_download(repo, revision="v1.0"))
        large = folder / "folder/model.safetensors"
        said["snapshot"] = [folder.name == made.oid,
                            hashlib.sha256(large.read_bytes()).hexdigest(),
                            (folder / "README.md").read_text() == card]
        one = hf_hub_download(repo, "moved.safetensors", revision="release/1.0")
        said["one"] = pathlib.Path(one).read_bytes() == weights
        info = api.model_info(repo, revision="v1.0", files_metadata=True)
        large = {s.rfilename: s for s in info.siblings}["folder/model.safetensors"]
        said["info"] = [info.private, info.tags, info.card_data.license]
        said["large"] = [large.size, large.lfs.size, large.lfs.sha256]
        refs = api.list_repo_refs(repo)
        said["refs"] = [sorted(b.name for b in refs.branches),
                        [(t.name, t.ref, t.target_commit == made.oid) for t in refs.tags]]
        asked = ["folder", "README.md", "none"]
        paths = api.get_paths_info(repo, asked, revision="v1.0", expand=True)
        said["paths"] = [(p.path, p.last_commit.oid == made.oid) for p in paths]
        said["card there"] = api.file_exists(repo, "README.md")
        ModelCard(card).push_to_hub(repo)
        said["pushed"] = ModelCard.load(repo).data.license
        """
    )
    sha256 = hashlib.sha256(bytes(range(256)) * 40_000).hexdigest()
    first = [".gitattributes"]
    second = [".gitattributes", "README.md", "config.json", "folder/model.safetensors"]
    third = [".gitattributes", "README.md", "docs/README.md", "moved.safetensors"]
    assert said == {
        "url": ["pairpress/release", "model", True],
        "history": [1, True, "one", "why", ["pairpress"]],
        "files": [first, second, third],
        "snapshot": [True, sha256, True],
        "one": True,
        "info": [True, ["dpo", "license:mit", "base_model:a/b"], "mit"],
        "large": [10_240_000, 10_240_000, sha256],
        "refs": [["main", "release/1.0"], [["v1.0", "refs/tags/v1.0", True]]],
        "paths": [["folder", True], ["README.md", True]],
        "card there": False,
        "pushed": "mit",
    }


def test_refusals_raise_the_exceptions_the_client_has_for_them(client_says: ClientSays) -> None:
    said = client_says(
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
        from huggingface_hub import hf_hub_download
        api, said, repo = HfApi(), {}, "pairpress/refusals"
        api.create_repo(repo)
        def attempt(name, call):
            try:
                call()
                said[name] = "done"
            except Exception as error:
                response = getattr(error, "response", None)
                said[name] = [type(error).__name__, response.status_code if response else None]
        def add(token=None, **more):
            content = CommitOperationAdd("a.txt", str(more).encode())
            api.create_commit(repo, [content], commit_message="m", token=token, **more)
        head = api.repo_info(repo).sha
        attempt("commit", lambda: add(parent_commit=head))
        attempt("stale", lambda: add(parent_commit=head, commit_description="other"))
        attempt("tag", lambda: api.create_tag(repo, tag="v1"))
        attempt("tag again", lambda: api.create_tag(repo, tag="v1"))
        attempt("tag again, exist_ok", lambda: api.create_tag(repo, tag="v1", exist_ok=True))
        attempt("branch again", lambda: api.create_branch(repo, branch="main"))
        attempt("delete main", lambda: api.delete_branch(repo, branch="main"))
        attempt("delete tag", lambda: api.delete_tag(repo, tag="v1"))
        attempt("delete tag again", lambda: api.delete_tag(repo, tag="v1"))
        attempt("create again", lambda: api.create_repo(repo))
        attempt("no repository", lambda: hf_hub_download("pairpress/none", "a"))
        attempt("no owner", lambda: hf_hub_download("none", "a"))
        attempt("no revision", lambda: hf_hub_download(repo, "a", revision="v9"))
        attempt("no file", lambda: hf_hub_download(repo, "none"))
        attempt("delete no file", lambda: api.create_commit(
            repo, [CommitOperationDelete("none")], commit_message="m"))
        attempt("bad card", lambda: api.upload_file(
            path_or_fileobj=b"---\\ntags: [dpo\\n---\\n", path_in_repo="README.md", repo_id=repo))
        attempt("bad token", lambda: api.whoami(token="hf_nobody"))
        attempt("read token", lambda: add(token=reader_token))
        attempt("read token, create", lambda: api.create_repo("pairpress/new", token=reader_token))
        attempt("read token may write?", lambda: api.auth_check(
            repo, token=reader_token, write=True))
        attempt("read token may read?", lambda: api.auth_check(repo, token=reader_token))
        attempt("another namespace", lambda: api.create_repo("alice/mine"))
        attempt("delete", lambda: api.delete_repo(repo))
        attempt("delete again", lambda: api.delete_repo(repo))
        attempt("delete again, missing_ok", lambda: api.delete_repo(repo, missing_ok=True))
        """
    )
    assert said == {
        "commit": "done",
        "stale": ["HfHubHTTPError", 412],
        "tag": "done",
        "tag again": ["HfHubHTTPError", 409],
        "tag again, exist_ok": "done",
        "branch again": ["HfHubHTTPError", 409],
        "delete main": ["HfHubHTTPError", 403],
        "delete tag": "done",
        "delete tag again": ["RevisionNotFoundError", 404],
        "create again": ["HfHubHTTPError", 409],
        "no repository": ["RepositoryNotFoundError", 404],
        "no owner": ["RepositoryNotFoundError", 404],
        "no revision": ["RevisionNotFoundError", 404],
        "no file": ["RemoteEntryNotFoundError", 404],
        "delete no file": ["RemoteEntryNotFoundError", 404],
        "bad card": ["ValueError", None],
        "bad token": ["HfHubHTTPError", 401],
        "read token": ["HfHubHTTPError", 403],
        "read token, create": ["HfHubHTTPError", 403],
        "read token may write?": ["HfHubHTTPError", 403],
        "read token may read?": "done",
        "another namespace": ["HfHubHTTPError", 403],
        "delete": "done",
        "delete again": ["RepositoryNotFoundError", 404],
        "delete again, missing_ok": "done",
    }


def test_a_folder_is_uploaded_in_one_commit_without_what_its_gitignore_names(
    client_says: ClientSays,
) -> None:
    said = client_says(
        """
        from pathlib import Path
        from huggingface_hub import HfApi
        api, repo = HfApi(), "pairpress/folder"
        api.create_repo(repo, repo_type="dataset")
        for number in range(300):
            Path("out", "rows").mkdir(parents=True, exist_ok=True)
            Path("out", "rows", f"{number}.txt").write_text(str(number))
        Path("out", "notes.log").write_text("left out")
        Path("out", ".gitignore").write_text("*.log")
        Path("out", "empty.bin").write_bytes(b"")
        api.upload_folder(repo_id=repo, folder_path="out", repo_type="dataset")
        files = api.list_repo_files(repo, repo_type="dataset")
        commits = api.list_repo_commits(repo, repo_type="dataset")
        said = [len(files), "notes.log" in files, len(commits)]
        """
    )
    assert said == [303, False, 2]


def test_datasets_loads_a_repository_of_parquet_and_one_of_json(client_says: ClientSays) -> None:
    said = client_says(
        """
        import io, json
        import pyarrow, pyarrow.parquet
        from huggingface_hub import CommitOperationAdd, HfApi
        answer = [{"role": "assistant", "content": "é"}]
        rows = [{"prompt": f"q{n}", "chosen": answer} for n in range(9)]
        table = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
        lines = "\\n".join(json.dumps(row) for row in rows).encode()
        card = b"---\\nconfigs:\\n- config_name: default\\n  data_files:\\n" \\
               b"  - {split: train, path: data/train.parquet}\\n---\\n"
        api, said = HfApi(), {}
        contents = {
            "parquet": {"README.md": card, "data/train.parquet": table.getvalue()},
            "json": {"rows.jsonl": lines},
        }
        for name, files in contents.items():
            api.create_repo(f"pairpress/{name}", repo_type="dataset", private=True)
            added = [CommitOperationAdd(path, data) for path, data in files.items()]
            api.create_commit(
                f"pairpress/{name}", added, commit_message="rows", repo_type="dataset"
            )
            api.create_tag(f"pairpress/{name}", tag="v1", repo_type="dataset")
        from datasets import load_dataset
        for name in contents:
            loaded = load_dataset(f"pairpress/{name}", split="train", revision="v1")
            said[name] = [len(loaded), loaded.to_list() == rows]
        streamed = load_dataset("pairpress/parquet", split="train", streaming=True)
        said["streamed"] = next(iter(streamed)) == rows[0]
        """
    )
    assert said == {"parquet": [9, True], "json": [9, True], "streamed": True}
