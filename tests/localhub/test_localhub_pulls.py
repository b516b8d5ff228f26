"""Pull requests and discussions, as the unchanged huggingface_hub opens, fills and merges them."""

import hashlib
from collections.abc import Callable
from typing import Any

ClientSays = Callable[..., Any]


def test_a_pull_request_is_made_found_extended_and_merged_as_one_commit(
    client_says: ClientSays,
) -> None:
    said = client_says(
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
        api, said, repo = HfApi(), {}, "pairpress/proposed"
        api.create_repo(repo, repo_type="dataset")
        where = {"repo_id": repo, "repo_type": "dataset"}
        def add(files, **more):
            added = [CommitOperationAdd(path, text) for path, text in files.items()]
            return api.create_commit(operations=added, commit_message="files", **where, **more)
        first = add({"a.txt": b"one\\n", "gone.txt": b"x\\n", "same.txt": b"s\\n"}).oid
        weights = bytes(range(256)) * 50
        made = add({"a.txt": b"two\\n", "rows.parquet": weights},
                   commit_description="the evaluation", create_pr=True, parent_commit=first)
        said["made"] = [made.pr_num, made.pr_revision,
                        made.pr_url == f"{api.endpoint}/datasets/{repo}/discussions/1"]
        api.create_commit(operations=[CommitOperationDelete("gone.txt")], commit_message="less",
                          revision="refs/pr/1", parent_commit=made.oid, **where)
        def files(revision):
            return sorted(api.list_repo_files(**where, revision=revision))
        said["files"] = [files("main"), files("refs/pr/1")]
        refs = api.list_repo_refs(**where, include_pull_requests=True)
        head = api.repo_info(**where, revision="refs/pr/1").sha
        said["refs"] = [[pr.ref, pr.target_commit == head] for pr in refs.pull_requests]
        said["without"] = api.list_repo_refs(**where).pull_requests
        listed = list(api.get_repo_discussions(**where, discussion_type="pull_request",
                                               discussion_status="open"))
        said["listed"] = [[pr.num, pr.title, pr.status, pr.author, pr.git_reference]
                          for pr in listed]
        details = api.get_discussion_details(**where, discussion_num=1)
        said["events"] = [[e.type, getattr(e, "content", None) or e.summary]
                          for e in details.events]
        said["target"] = [details.target_branch, details.conflicting_files]
        said["diff"] = [line for line in details.diff.splitlines()
                        if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        add({"meanwhile.txt": b"m\\n"})
        api.comment_discussion(**where, discussion_num=1, comment="looks right")
        api.merge_pull_request(**where, discussion_num=1, comment="in it goes")
        merged = api.get_discussion_details(**where, discussion_num=1)
        history = api.list_repo_commits(**where)
        said["merged"] = [merged.status, merged.merge_commit_oid == history[0].commit_id,
                          history[0].title, len(history), files("main"),
                          [e.type for e in merged.events]]
        again = add({"a.txt": b"two\\n"}, create_pr=True)  # nothing to change: no pull request
        said["nothing new"] = [again.pr_url, again.oid == history[0].commit_id]
        """
    )
    sha256 = hashlib.sha256(bytes(range(256)) * 50).hexdigest()
    pointer = ["version https://git-lfs.github.com/spec/v1", f"oid sha256:{sha256}", "size 12800"]
    start = [".gitattributes", "a.txt", "gone.txt", "same.txt"]
    proposed = [".gitattributes", "a.txt", "rows.parquet", "same.txt"]
    after = [".gitattributes", "a.txt", "meanwhile.txt", "rows.parquet", "same.txt"]
    events = ["comment", "commit", "commit"]
    assert said == {
        "made": [1, "refs/pr/1", True],
        "files": [start, proposed],
        "refs": [["refs/pr/1", True]],
        "without": None,
        "listed": [[1, "files", "open", "pairpress", "refs/pr/1"]],
        "events": [["comment", "the evaluation"], ["commit", "files"], ["commit", "less"]],
        "target": ["refs/heads/main", []],
        "diff": ["-one", "+two", "-x", *(f"+{line}" for line in pointer)],
        "merged": [
            "merged",
            True,
            "files (#1)",
            4,
            after,
            [*events, *["comment"] * 2, "status-change"],
        ],
        "nothing new": [None, True],
    }


def test_a_conflict_is_told_and_changes_nothing(client_says: ClientSays) -> None:
    said = client_says(
        """
        from huggingface_hub import CommitOperationAdd, HfApi
        api, said, repo = HfApi(), {}, "pairpress/conflict"
        api.create_repo(repo)
        def add(text, **more):
            return api.create_commit(
                repo, [CommitOperationAdd("a.txt", text)], commit_message="m", **more)
        add(b"one")
        add(b"two", create_pr=True)
        head = add(b"three").oid
        said["told"] = api.get_discussion_details(repo, 1).conflicting_files
        try:
            api.merge_pull_request(repo, 1)
        except Exception as error:
            said["merge"] = [error.response.status_code, "a.txt" in str(error)]
        said["main"] = api.model_info(repo).sha == head
        said["status"] = api.get_discussion_details(repo, 1).status
        """
    )
    assert said == {"told": ["a.txt"], "merge": [409, True], "main": True, "status": "open"}


def test_a_draft_is_opened_closed_and_reopened_before_it_can_be_merged(
    client_says: ClientSays,
) -> None:
    said = client_says(
        """
        from huggingface_hub import CommitOperationAdd, HfApi
        api, said, repo = HfApi(), {}, "pairpress/draft"
        api.create_repo(repo)
        pr = api.create_pull_request(repo, "A new card", description="why")
        said["draft"] = [pr.num, pr.status, pr.events[0].content]
        def attempt(call):
            try:
                call()
                return "done"
            except Exception as error:
                return error.response.status_code
        merge = lambda: api.merge_pull_request(repo, 1)
        def add(text):
            api.create_commit(repo, [CommitOperationAdd("README.md", text)],
                              commit_message="card", revision="refs/pr/1")
        said["merge a draft"] = attempt(merge)
        said["commit"] = attempt(lambda: add(b"# New"))
        said["close"] = api.change_discussion_status(repo, 1, "closed", comment="no").new_status
        said["closed"] = [attempt(merge), attempt(lambda: add(b"# Newer"))]
        closed = api.get_repo_discussions(repo, discussion_status="closed")
        said["listed"] = [pr.num for pr in closed]
        api.change_discussion_status(repo, 1, "open")
        said["merge"] = [attempt(merge), attempt(merge)]
        said["reopen"] = attempt(lambda: api.change_discussion_status(repo, 1, "open"))
        said["card"] = api.file_exists(repo, "README.md")
        """
    )
    assert said == {
        "draft": [1, "draft", "why"],
        "merge a draft": 400,
        "commit": "done",
        "close": "closed",
        "closed": [400, 403],
        "listed": [1],
        "merge": ["done", 400],
        "reopen": 400,
        "card": True,
    }


def test_a_discussion_is_renamed_and_its_comments_are_edited_and_hidden(
    client_says: ClientSays,
) -> None:
    said = client_says(
        """
        import warnings
        from huggingface_hub import HfApi
        api, said, repo = HfApi(), {}, "pairpress/talk"
        api.create_repo(repo)
        talk = api.create_discussion(repo, "A question", description="what?")
        said["talk"] = [talk.num, talk.is_pull_request, talk.git_reference, talk.diff]
        renamed = api.rename_discussion(repo, 1, "An answer")
        said["renamed"] = [renamed.old_title, renamed.new_title]
        comment = api.comment_discussion(repo, 1, "first")
        edited = api.edit_discussion_comment(repo, 1, comment.id, "second")
        said["edited"] = [edited.content, edited.edited, edited.number_of_edits,
                          edited.edit_history[0]["raw"]]
        warnings.simplefilter("ignore")
        hidden = api.hide_discussion_comment(repo, 1, comment.id)
        said["hidden"] = [hidden.content, hidden.hidden, hidden.edit_history]
        try:
            api.merge_pull_request(repo, 1)
        except Exception as error:
            said["merge"] = error.response.status_code
        details = api.get_discussion_details(repo, 1)
        said["title"] = details.title
        """
    )
    assert said == {
        "talk": [1, False, None, None],
        "renamed": ["A question", "An answer"],
        "edited": ["second", True, 1, "first"],
        "hidden": ["", True, []],
        "merge": 400,
        "title": "An answer",
    }


def test_others_may_propose_and_comment_but_not_merge(client_says: ClientSays) -> None:
    said = client_says(
        """
        from huggingface_hub import CommitOperationAdd, HfApi
        owner, alice, reader = HfApi(), HfApi(token=alice_token), HfApi(token=reader_token)
        said, repo = {}, "pairpress/open-to-others"
        owner.create_repo(repo)
        def attempt(call):
            try:
                call()
                return "done"
            except Exception as error:
                return error.response.status_code
        def propose(api, **more):
            large = CommitOperationAdd("m.bin", bytes(range(256)) * 9)
            return attempt(lambda: api.create_commit(repo, [large], commit_message="m", **more))
        said["commit"] = propose(alice)
        said["propose"] = [propose(alice, create_pr=True), propose(reader, create_pr=True)]
        said["go on"] = attempt(lambda: alice.create_commit(
            repo, [CommitOperationAdd("b.txt", b"b")], commit_message="b", revision="refs/pr/1"))
        said["merge"] = attempt(lambda: alice.merge_pull_request(repo, 1))
        said["comment"] = [attempt(lambda: api.comment_discussion(repo, 1, "c"))
                           for api in (alice, reader)]
        said["owner"] = attempt(lambda: owner.merge_pull_request(repo, 1))
        owner.create_discussion(repo, "of the owner")
        said["close"] = attempt(lambda: alice.change_discussion_status(repo, 2, "closed"))
        said["files"] = sorted(owner.list_repo_files(repo))
        """
    )
    assert said == {
        "commit": 403,
        "propose": ["done", 403],
        "go on": "done",
        "merge": 403,
        "comment": ["done", 403],
        "owner": "done",
        "close": 403,
        "files": [".gitattributes", "b.txt", "m.bin"],
    }
