"""The rest of the protocol table by the unchanged client: settings, moves, squashes, lists.

https://huggingface.co/docs/huggingface_hub/package_reference/hf_api
"""

from collections.abc import Callable
from typing import Any

import pytest

ClientSays = Callable[..., Any]

ATTEMPT = """
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi
api, said = HfApi(), {}
def attempt(call):
    try:
        call()
        return "done"
    except Exception as error:
        return [type(error).__name__, error.response.status_code]
def add(repo, path, content, **more):
    return api.create_commit(repo, [CommitOperationAdd(path, content)], commit_message=path, **more)
"""


def test_a_repository_is_moved_with_its_history_and_the_old_name_is_free(
    client_says: ClientSays,
) -> None:
    said = client_says(
        ATTEMPT,
        """
        old, new = "pairpress/before", "pairpress/after"
        api.create_repo(old, private=True)
        made = add(old, "m.safetensors", bytes(range(256)))
        api.create_tag(old, tag="v1")
        api.create_repo("pairpress/taken")
        said["taken"] = attempt(lambda: api.move_repo(old, "pairpress/taken"))
        said["not mine"] = attempt(lambda: api.move_repo(old, "alice/mine"))
        api.move_repo(old, new)
        info = api.model_info(new, revision="v1")
        said["info"] = [info.id, info.sha == made.oid, info.private,
                        len(api.list_repo_commits(new))]
        said["old"] = [api.repo_exists(old), attempt(lambda: api.move_repo(old, new))]
        api.create_repo(old)
        """,
    )
    assert said == {
        "taken": ["HfHubHTTPError", 409],
        "not mine": ["HfHubHTTPError", 403],
        "info": ["pairpress/after", True, True, 2],
        "old": [False, ["RepositoryNotFoundError", 404]],
    }


def test_settings_make_private_and_gate_what_others_read(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        from huggingface_hub import hf_hub_download
        alice, repo = HfApi(token=alice_token), "pairpress/settings"
        api.create_repo(repo)
        add(repo, "a.txt", b"a")
        def read(token, name):
            return attempt(lambda: hf_hub_download(
                repo, "a.txt", token=token, cache_dir=f"cache-{name}"))
        api.update_repo_settings(repo, gated="auto")
        said["gated"] = [api.model_info(repo).gated, alice.model_info(repo).gated]
        said["files of a gated one"] = [read(alice_token, "g"), read(False, "n"), read(None, "o")]
        api.update_repo_settings(repo, visibility="private")
        said["private"] = [api.model_info(repo).private, alice.repo_exists(repo)]
        api.update_repo_settings(repo, gated=False, visibility="public")
        said["open"] = [api.model_info(repo).gated, read(alice_token, "h"), read(False, "i")]
        said["not mine"] = attempt(lambda: alice.update_repo_settings(repo, gated="manual"))
        """,
    )
    assert said == {
        "gated": ["auto", "auto"],
        "files of a gated one": [["GatedRepoError", 403], ["GatedRepoError", 401], "done"],
        "private": [True, False],
        "open": [False, "done", "done"],
        "not mine": ["HfHubHTTPError", 403],
    }


def test_a_squashed_branch_has_one_commit_and_tags_keep_theirs(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        repo = "pairpress/squashed"
        api.create_repo(repo)
        first = add(repo, "a.txt", b"1").oid
        api.create_tag(repo, tag="v1")
        add(repo, "b.txt", b"2")
        api.super_squash_history(repo, commit_message="all in one")
        history = api.list_repo_commits(repo)
        said["history"] = [[commit.title for commit in history], api.list_repo_files(repo)]
        said["tag"] = api.model_info(repo, revision="v1").sha == first
        said["a tag"] = attempt(lambda: api.super_squash_history(repo, branch="v1"))
        said["none"] = attempt(lambda: api.super_squash_history(repo, branch="none"))
        """,
    )
    assert said == {
        "history": [["all in one"], [".gitattributes", "a.txt", "b.txt"]],
        "tag": True,
        "a tag": ["BadRequestError", 400],
        "none": ["RevisionNotFoundError", 404],
    }


def test_an_earlier_tree_is_restored_by_copies_without_sending_a_byte_of_it(
    client_says: ClientSays,
) -> None:
    said = client_says(
        ATTEMPT,
        """
        repo = "pairpress/restored"
        api.create_repo(repo)
        old = add(repo, "m.safetensors", b"old weights" * 1000).oid
        add(repo, "m.safetensors", b"new weights" * 1000)
        head = add(repo, "card.md", b"new").oid
        before = {f.path: f.blob_id for f in api.list_repo_tree(repo, revision=old)}
        from huggingface_hub import CommitOperationDelete
        made = api.create_commit(
            repo,
            [CommitOperationCopy("m.safetensors", "m.safetensors", src_revision=old),
             CommitOperationDelete("card.md")],
            commit_message="back", parent_commit=head,
        )
        after = {f.path: f.blob_id for f in api.list_repo_tree(repo, revision=made.oid)}
        said["same"] = before == after
        """,
    )
    assert said == {"same": True}


def test_lists_show_what_a_token_may_see(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        alice, nobody = HfApi(token=alice_token), HfApi(token=False)
        card = b"---\\nlicense: mit\\n---\\n"
        for name, private in (("listed-one", False), ("listed-two", True)):
            api.create_repo(f"pairpress/{name}", private=private)
            add(f"pairpress/{name}", "README.md", card)
            add(f"pairpress/{name}", "m.bin", bytes(1000))
        api.create_repo("pairpress/listed-rows", repo_type="dataset")
        alice.create_repo("acme/listed-three")
        def names(hub, **asked):
            return [model.id for model in hub.list_models(search="LISTED", **asked)]
        said["owner"] = names(api)
        said["alice"] = names(alice)
        said["nobody"] = names(nobody, author="pairpress")
        said["tagged"] = names(api, filter="license:mit", limit=1)
        said["rows"] = [rows.id for rows in api.list_datasets(search="listed")]
        full = list(api.list_models(search="listed-one", full=True))[0]
        said["full"] = [file.rfilename for file in full.siblings]
        own = {repo.id: repo for repo in api.list_user_repos()}
        one = own["pairpress/listed-one"]
        attributes = api.get_paths_info("pairpress/listed-one", ".gitattributes")[0].size
        said["own"] = [one.type, one.visibility, one.storage - attributes,
                       own["pairpress/listed-two"].visibility, "acme/listed-three" in own]
        said["organization"] = "acme/listed-three" in [
            repo.id for repo in alice.list_user_repos("acme")]
        said["of others"] = attempt(lambda: list(alice.list_user_repos("pairpress")))
        """,
    )
    assert said == {
        "owner": ["acme/listed-three", "pairpress/listed-two", "pairpress/listed-one"],
        "alice": ["acme/listed-three", "pairpress/listed-one"],
        "nobody": ["pairpress/listed-one"],
        "tagged": ["pairpress/listed-two"],
        "rows": ["pairpress/listed-rows"],
        "full": [".gitattributes", "README.md", "m.bin"],
        "own": ["model", "public", len("---\nlicense: mit\n---\n") + 1000, "private", False],
        "organization": True,
        "of others": ["HfHubHTTPError", 403],
    }


def test_a_file_over_32_mib_goes_in_parts_and_is_not_sent_twice(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        import pathlib, random
        from urllib.parse import urlsplit
        from huggingface_hub import hf_hub_download, lfs
        sent = []
        backoff = lfs.http_backoff
        def counted(method, url, **more):
            sent.append([method, urlsplit(url).path.startswith("/lfs/")])
            return backoff(method, url, **more)
        lfs.http_backoff = counted
        repo, content = "pairpress/parts", random.Random(7).randbytes(40 * 2**20)
        api.create_repo(repo)
        add(repo, "m.safetensors", content)
        said["puts"] = sent.count(["PUT", True])
        said["posts"] = sent.count(["POST", True])
        sent.clear()
        add(repo, "again.safetensors", content)
        said["again"] = sent.count(["PUT", True])
        path = pathlib.Path(hf_hub_download(repo, "again.safetensors"))
        said["same"] = path.read_bytes() == content
        """,
    )
    # 40 MiB in parts of 16 MiB are 3; the one POST to /lfs/ completes them.
    assert said == {"puts": 3, "posts": 1, "again": 0, "same": True}


@pytest.mark.slow
def test_transformers_and_peft_load_what_was_put_here(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        import torch
        from peft import LoraConfig, PeftModel, get_peft_model
        from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
        config = LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=16,
                             num_hidden_layers=1, num_attention_heads=2)
        torch.manual_seed(1)
        base = LlamaForCausalLM(config)
        LlamaForCausalLM.push_to_hub(base, "pairpress/tiny-base")
        asked = torch.tensor([[1, 2, 3]])
        loaded = AutoModelForCausalLM.from_pretrained("pairpress/tiny-base")
        said["base"] = torch.equal(base(asked).logits, loaded(asked).logits)
        adapted = get_peft_model(base, LoraConfig(init_lora_weights=False))
        adapted.push_to_hub("pairpress/tiny-adapter")
        again = PeftModel.from_pretrained(loaded, "pairpress/tiny-adapter")
        said["adapter"] = torch.equal(adapted(asked).logits, again(asked).logits)
        said["files"] = sorted(api.list_repo_files("pairpress/tiny-adapter"))
        """,
    )
    assert said["base"] and said["adapter"]
    assert "adapter_model.safetensors" in said["files"]


@pytest.mark.slow
def test_datasets_pushes_a_data_set_and_proposes_one(client_says: ClientSays) -> None:
    said = client_says(
        ATTEMPT,
        """
        from datasets import Dataset, DatasetDict, load_dataset
        rows = [{"prompt": str(n), "chosen": [{"role": "user", "content": "é"}]} for n in range(9)]
        splits = DatasetDict(train=Dataset.from_list(rows), test=Dataset.from_list(rows[:3]))
        splits.push_to_hub("pairpress/pushed", private=True)
        loaded = load_dataset("pairpress/pushed")
        said["pushed"] = [loaded["train"].to_list() == rows, len(loaded["test"])]
        splits["test"].push_to_hub("pairpress/pushed", config_name="other", create_pr=True)
        other = load_dataset("pairpress/pushed", "other", revision="refs/pr/1")
        said["proposed"] = {name: len(split) for name, split in other.items()}
        """,
    )
    assert said == {"pushed": [True, 3], "proposed": {"train": 3}}
