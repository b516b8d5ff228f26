"""What goes wrong before the first expensive stage: one line, no traceback, exit 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ground import GROUND, ROOT, pairpress

pytestmark = pytest.mark.slow


def says_once(done, *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    told = [line for line in done.stderr.splitlines() if line.startswith("pairpress: ")]
    assert len(told) == 1, done.stderr[-3000:]
    said = done.stderr[done.stderr.index(told[0]) :]  # several things are a list below it
    for word in words:
        assert word in said, said
    assert "train tiny base" not in done.stderr  # nothing expensive was begun


def test_a_hub_that_is_not_there_is_named_with_the_way_out(hub):
    done = pairpress("run", "demo", HF_ENDPOINT="http://127.0.0.1:9")
    says_once(done, "http://127.0.0.1:9", "did not answer", "HF_ENDPOINT")


def test_a_token_that_is_refused_is_told_without_showing_it(hub):
    done = pairpress("run", "demo", HF_TOKEN="hf_nobodyhasthistoken")
    says_once(done, "refused the token", "HF_TOKEN")
    assert "hf_nobodyhasthistoken" not in done.stderr + done.stdout


def test_a_repository_without_write_access_is_refused_before_training(hub):
    done = pairpress("run", "demo", "--set", "release.repository=somebody/else")
    says_once(done, "somebody/else", "pairpress", "release.repository")


def test_a_base_without_a_chat_template_is_refused(hub, tmp_path):
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("pairpress/no-template", exist_ok=True)
    files = {
        "config.json": json.dumps({"model_type": "gpt2"}),
        "tokenizer.json": json.dumps(
            {
                "version": "1.0",
                "added_tokens": [],
                "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"},
            }
        ),
        "tokenizer_config.json": json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "b"}
        ),
    }
    operations = [CommitOperationAdd(name, text.encode()) for name, text in files.items()]
    api.create_commit("pairpress/no-template", operations, commit_message="A base, no chat model")
    done = pairpress("run", "hh", "--set", "base.model=pairpress/no-template")
    says_once(done, "pairpress/no-template", "no chat template", "instruct")


def test_a_work_folder_that_cannot_be_written_is_named(hub, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    done = pairpress("run", "demo", PAIRPRESS_HOME=str(tmp_path / "file" / "work"))
    says_once(done, str(tmp_path / "file"), "PAIRPRESS_HOME")


def test_an_unknown_setting_fails_before_anything_starts(hub):
    done = pairpress("run", "demo", "--set", "training.max_stepz=3")
    says_once(done, "training.max_stepz", "max_steps")
    assert "Starting temporary server" not in done.stderr


def test_finished_stages_stay_finished_when_a_later_one_is_refused(demo, tmp_path):
    path = tmp_path / "conversations.jsonl"
    row = {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "narrator", "value": "."}]}
    path.write_text(json.dumps(row) + "\n")
    before = sorted(one.name for one in (GROUND / "work" / "stages").iterdir())
    done = pairpress("run", "demo", "--set", f"data.path={path}")
    assert done.returncode == 2
    assert f"{path}: none of its 1 rows can be used (row 1: unknown role 'narrator'" in done.stderr
    after = sorted(one.name for one in (GROUND / "work" / "stages").iterdir())
    assert set(before) <= set(after)


def test_the_hub_on_this_disk_starts_by_itself_where_no_endpoint_is_set(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-m", "flows", "check", "nobody/nothing", "--local"],
        cwd=ROOT,
        env=environment | {"PAIRPRESS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    says_once(done, "nobody/nothing", "404")
    assert "Hub on this disk: http://127.0.0.1:" in done.stderr
    token = tmp_path / "hub" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() not in done.stderr
    state = json.loads(Path(tmp_path / "hub" / "server.json").read_text())
    assert state["pid"] is None  # and it stopped with the command
