"""Real data of others through the demo pipeline: a release, or a refusal with its numbers."""

import json
import re
from pathlib import Path

import pytest
from ground import GROUND, pairpress

pytestmark = pytest.mark.slow


def told(done) -> str:
    """The one line in which a run says no."""
    return next(line for line in done.stderr.splitlines() if line.startswith("pairpress: "))


def test_real_identity_conversations_end_in_a_release_or_in_a_named_refusal(demo, real_data):
    done = pairpress("run", "demo", "--set", f"data.path={real_data / 'identity-sharegpt.json'}")
    assert done.returncode in (0, 1), done.stderr[-3000:]
    assert "rows=87 set_aside=850" in done.stderr  # 937 conversations, 87 distinct prompts
    if done.returncode == 0:
        record = json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())
        assert record["inputs"]["data"]["source"] == "identity-sharegpt.json"
    else:
        assert re.search(r"(REFUSED: [\w.]+ [<>=]+ .*|training diverged: .*): it is", told(done))


def test_real_hh_transcripts_are_trained_and_evaluated_on_the_tiny_model(demo, real_data):
    done = pairpress(
        *("run", "hh", "--set", f"data.path={real_data / 'hh-harmless-base-test.jsonl.gz'}"),
        *("--set", "training.max_steps=20", "--set", "base.model=pairpress/tiny-chat"),
        *("--set", "reading.max_length=384"),  # the recipe's 1024 takes three times the time
    )
    assert done.returncode in (0, 1), done.stderr[-3000:]
    assert "form=hh" in done.stderr and "steps=20" in done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 1:
        assert re.search(r"gate: REFUSED: \w+ .*: it is [\d.e-]+", told(done))


def test_a_data_set_with_a_shortcut_is_refused_before_any_training(demo, tmp_path):
    path = tmp_path / "shortcut.jsonl"
    rows = [
        {
            "chosen": f"\n\nHuman: Tell me fact {n}.\n\nAssistant: Fact {n} is here, gladly.",
            "rejected": f"\n\nHuman: Tell me fact {n}.\n\nAssistant: Fact {n} is here, obviously.",
        }
        for n in range(300)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = pairpress(
        *("run", "hh", "--set", f"data.path={path}", "--set", "base.model=pairpress/tiny-chat")
    )
    assert done.returncode == 1
    assert "obviously" in told(done) and "Data Docs" in told(done)
    assert "Task run 'train" not in done.stderr
    page = re.search(r"Data Docs: (\S+\.html)", told(done))
    assert page is not None
    assert "obviously" in Path(page[1]).read_text()


WRECKING = ("--set", "training.learning_rate=5.0e-2", "--set", "training.max_steps=40")


def test_a_hundred_times_the_right_learning_rate_stops_in_training(demo):
    done = pairpress("run", "demo", *WRECKING)
    assert done.returncode == 1, done.stderr[-3000:]
    assert re.search(r"diverged: \w+ >= \w+ does not hold at step \d+", told(done))
    kept = re.search(r"\S+checkpoint-\d+", told(done))
    assert kept is None or (Path(kept[0]) / "adapter_model.safetensors").is_file()
    assert "merge: " not in done.stderr  # nothing is merged, nothing published


def test_a_hundred_times_the_right_learning_rate_is_refused_by_the_gate_as_well(demo):
    """Loss, accuracy and margins look better than in the healthy run; the answers are wrecked."""
    done = pairpress("run", "demo", *WRECKING, "--set", "watch.limits=[]")
    assert done.returncode == 1, done.stderr[-3000:]
    assert re.search(r"gate: REFUSED: .*(exact|same|strict)", told(done))
    assert "merge: " not in done.stderr
