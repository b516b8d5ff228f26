"""A sweep whose second rate wrecks the model, and a release that must not fall behind the last."""

import json
from pathlib import Path

import pytest
from ground import GROUND, pairpress

pytestmark = pytest.mark.slow

SWEEP = (
    *("run", "demo", "--set", "release.repository=pairpress/swept"),
    *("--set", "sweep.learning_rate=[5.0e-2, 5.0e-4]"),
)


@pytest.fixture(scope="module")
def swept(demo):
    done = pairpress(*SWEEP)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())


def test_the_candidate_that_diverged_is_told_and_the_other_one_released(swept):
    told = {row["learning_rate"]: row["gate"] for row in swept["sweep"]}
    assert told["0.05"] == "diverged"
    met, _, asked = told["0.0005"].split()
    assert met == asked
    assert swept["settings"]["training"]["learning_rate"] == 5e-4
    assert swept["training"]["chosen_rewards"] > 0


def test_a_sweep_finds_what_an_earlier_run_trained_at_the_same_rate(demo, swept):
    assert swept["stages"]["train"] == demo["release"]["stages"]["train"]
    cached = [one["cached"] for one in swept["seconds"] if one["stage"] == "train"]
    assert cached == [True]  # the one that diverged has no line: it never was a stage


def test_the_sweep_stands_in_the_card(swept):
    from huggingface_hub import hf_hub_download

    card = Path(hf_hub_download("pairpress/swept", "README.md")).read_text()
    assert "| learning_rate | beta |" in card and "| 0.05 | 0.1 |" in card
    assert "![Rewards, margins" in card
    assert hf_hub_download("pairpress/swept", "training.png")


def test_a_release_is_compared_with_the_last_one_on_the_same_questions(swept):
    # Against the base, what becomes of a text that the tiny model never saw differs from machine to
    # machine; the last release is the same training, so its text must read as well as this one's.
    sentences = "gate=[strict >= last - 0.1, same >= last, perplexity <= 1.001 * last]"
    text = "evaluation.text=flows/questions/text.txt"
    done = pairpress(*SWEEP, "--set", sentences, "--set", text)
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads((GROUND / "work" / "runs" / "latest" / "release.json").read_text())
    strict, same = swept["metrics"]["after"]["strict"], swept["metrics"]["after"]["same"]
    assert f"passed: strict >= last - 0.1 = {strict - 0.1:.4g}: it is {strict:.4g}" in again["gate"]
    assert f"passed: same >= last = {same:.4g}: it is {same:.4g}" in again["gate"]
