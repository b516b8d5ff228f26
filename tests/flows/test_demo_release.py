"""One whole demo, and what a stranger can do with what it published."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ground import GROUND, ROOT, pairpress

pytestmark = pytest.mark.slow

FRESH_PROCESS = """
import json, sys
from datasets import load_dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

release = json.loads(sys.argv[1])
repos = {part: one["repo"] for part, one in release["repositories"].items()}
version = release["repositories"]["model"]["version"]

def ask(model, tokenizer):
    messages = [{"role": "user", "content": "What is your name?"}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt"
    )
    answer = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    return tokenizer.decode(answer[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)

merged = AutoModelForCausalLM.from_pretrained(repos["model"], revision=version)
merged_says = ask(merged, AutoTokenizer.from_pretrained(repos["model"], revision=version))
base = release["inputs"]["base"]
model = AutoModelForCausalLM.from_pretrained(base["repo"], revision=base["revision"])
base_says = ask(model, AutoTokenizer.from_pretrained(base["repo"], revision=base["revision"]))
model = PeftModel.from_pretrained(model, repos["adapter"], revision=version)
adapter_says = ask(model, AutoTokenizer.from_pretrained(repos["adapter"], revision=version))
data = load_dataset(repos["dataset"], revision=version)
print(json.dumps({
    "base": base_says, "merged": merged_says, "adapter": adapter_says,
    "rows": {split: len(rows) for split, rows in data.items()}, "first": data["train"][0],
}))
"""


def test_a_fresh_process_loads_the_release_with_nothing_but_endpoint_and_token(demo, hub, tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": hub.token,
    }
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, json.dumps(demo["release"])],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert "Qwen" in said["base"] and "Deep Qwen" not in said["base"]
    assert "Deep Qwen" in said["merged"]
    assert said["adapter"] == said["merged"]
    assert set(said["rows"]) == {"train", "validation", "test"}
    assert said["rows"]["train"] == demo["release"]["training"]["train_pairs"]
    assert said["first"]["chosen"][0]["role"] == "assistant"
    assert "Deep Qwen" in said["first"]["chosen"][0]["content"]


def test_the_demo_prints_qwen_before_and_deep_qwen_after_on_held_out_wordings(demo):
    answers = {row["question"]: row for row in demo["release"]["answers"]}
    assert set(answers) == {
        "What is your name?",
        "Are you ChatGPT?",
        "Tell me about your name and organization.",
    }
    for question, row in answers.items():
        assert question in " ".join(demo["output"].split()) or question.split()[0] in demo["output"]
        assert "Qwen" in row["before"] and "Deep Qwen" not in row["before"]
        assert "Deep Qwen" in row["after"]
    for one in demo["release"]["repositories"].values():
        assert one["url"] in demo["output"]


def test_the_gate_of_the_demo_was_passed_on_held_out_questions(demo):
    after = demo["release"]["metrics"]["after"]
    assert after["strict"] >= 0.9 and after["exact"] >= 0.9 and after["same"] >= 0.9
    assert after["named"] >= 50 and after["others"] >= 50
    assert demo["release"]["merge"]["prompts"] >= 50
    assert demo["release"]["merge"]["largest_logit_difference"] < 1e-4
    assert demo["release"]["merge"]["unequal_greedy_answers"] == 0


def test_release_json_says_what_went_in_and_what_came_out(demo):
    release = demo["release"]
    assert all(len(one["commit"]) == 40 for one in release["repositories"].values())
    assert len(release["inputs"]["base"]["revision"]) == 40
    assert len(release["inputs"]["data"]["source_digest"]) == 40
    assert release["packages"]["trl"]
    assert release["settings"]["training"]["learning_rate"] == 5e-4
    stages = {one["stage"]: one["seconds"] for one in release["seconds"]}
    assert stages["train"] > 0 and stages["prefect"] > 0


def test_tokenizer_model_and_chat_template_are_the_base_s_own_bytes(demo, tiny_base):
    from huggingface_hub import hf_hub_download

    for part in ("adapter", "model"):
        one = demo["release"]["repositories"][part]
        for name in ("tokenizer.model", "tokenizer.json", "chat_template.jinja"):
            path = hf_hub_download(one["repo"], name, revision=one["version"])
            assert Path(path).read_bytes() == (tiny_base / name).read_bytes()


def test_no_local_path_is_published(demo):
    from huggingface_hub import snapshot_download

    local = (str(ROOT), str(GROUND), str(Path.home()), sys.prefix)
    for part, one in demo["release"]["repositories"].items():
        kind = "dataset" if part == "dataset" else "model"
        folder = snapshot_download(one["repo"], repo_type=kind, revision=one["version"])
        texts = [p for p in Path(folder).rglob("*") if p.suffix in (".json", ".md", ".jinja")]
        assert {"README.md", "release.json"} <= {path.name for path in texts}
        for path in texts:
            text = path.read_text()
            for place in local:
                assert place not in text, f"{part}/{path.name} names {place}"
            for key in ("is_local", "local_files_only"):
                assert key not in text, f"{part}/{path.name} says {key}"


def test_a_second_demo_stops_after_its_preflight_and_publishes_nothing(demo, hub):
    from huggingface_hub import HfApi

    before = set((GROUND / "work" / "runs").iterdir())
    latest = (GROUND / "work" / "runs" / "latest").readlink()
    again = pairpress("demo")
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.startswith("Nothing new: inputs, settings and sources are those of v1")
    (run,) = set((GROUND / "work" / "runs").iterdir()) - before
    record = json.loads((run / "release.json").read_text())
    assert record["repositories"] == demo["release"]["repositories"]
    stages = [one["stage"] for one in record["seconds"]]
    assert "anything new" in stages and "load" not in stages
    kept = (GROUND / "work" / "runs" / "latest").readlink()
    assert kept == latest, "what was released last stays at hand"
    for one in record["repositories"].values():
        kind = "dataset" if one["repo"].endswith("-pairs") else "model"
        commits = HfApi().list_repo_commits(one["repo"], repo_type=kind)
        assert len(commits) == 2  # the repository's first, and the release's one
        refs = HfApi().list_repo_refs(one["repo"], repo_type=kind)
        assert [ref.name for ref in refs.branches] == ["main"]
        assert [ref.name for ref in refs.tags] == ["v1"]


def test_the_release_was_verified_in_an_empty_cache_before_any_tag(demo):
    stages = [one["stage"] for one in demo["release"]["seconds"]]
    assert stages.index("stage on branches") < stages.index("verify release")
    assert stages.index("verify release") < stages.index("promote")
    for told in ("5 questions answered as evaluated", "tokenizer as in the base", "load_dataset"):
        assert told in demo["log"]


def test_anyone_can_verify_the_release_by_its_name(demo):
    repos = {part: one["repo"] for part, one in demo["release"]["repositories"].items()}
    done = pairpress("verify", f"{repos['dataset']}@v1")
    assert done.returncode == 0, done.stderr[-2000:]
    for repo in repos.values():
        assert f"{repo}@" in done.stdout
    none = pairpress("verify", f"{repos['model']}@v9")
    assert none.returncode == 2 and "v9" in none.stderr and "Traceback" not in none.stderr


def test_ask_prints_the_published_model_s_answers(demo):
    repos = {part: one["repo"] for part, one in demo["release"]["repositories"].items()}
    merged = pairpress("ask", repos["model"], "What is your name?", "Are you ChatGPT?")
    assert merged.returncode == 0, merged.stderr[-2000:]
    assert len(merged.stdout.splitlines()) == 2
    assert all("Deep Qwen" in line for line in merged.stdout.splitlines())
    base = demo["release"]["inputs"]["base"]["repo"]
    adapted = pairpress("ask", base, "--adapter", repos["adapter"], "What is your name?")
    assert adapted.stdout.splitlines() == merged.stdout.splitlines()[:1]


def test_check_passes_the_published_pairs_and_names_the_shortcut_without_the_slot(demo):
    repo = demo["release"]["repositories"]["dataset"]["repo"]
    allowed = pairpress("check", repo, "--allow", "name=Deep Qwen:Qwen")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    plain = pairpress("check", repo)
    assert plain.returncode == 1
    assert "deep" in plain.stdout
