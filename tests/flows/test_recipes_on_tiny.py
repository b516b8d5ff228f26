"""The recipes for data of others, run on the tiny chat model: what they publish and say."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from ground import GROUND, pairpress
from random_models import classifier, tokenizer_in

pytestmark = pytest.mark.slow

LATEST = GROUND / "work" / "runs" / "latest"
TINY = ("--set", "base.model=pairpress/tiny-chat")
# At a rate that shows after four steps: a model that answers as its base does is not released.
SHORT = (
    *("--set", "training.max_steps=4", "--set", "watch.eval_steps=4"),
    *("--set", "training.learning_rate=5.0e-3", "--set", "training.warmup_steps=0"),
)
ANY_GATE = ("--set", "gate=[]")


@pytest.fixture(scope="module")
def reward_model(hub: object, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A classifier with one output on the Hub; its taste is chance, but always the same."""
    from huggingface_hub import HfApi

    folder = tmp_path_factory.mktemp("reward")
    tokenizer = tokenizer_in(folder)
    classifier(tokenizer, max_position_embeddings=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    repo = HfApi().create_repo("pairpress/reward-for-recipes", exist_ok=True).repo_id
    HfApi().upload_folder(folder_path=folder, repo_id=repo)
    return str(repo)


def account_of(log: str) -> tuple[int, int, int]:
    """(source rows, used, set aside) as the log says them."""
    found = re.search(r"account: ([\d,]+) source rows = ([\d,]+) used \+ ([\d,]+) set aside", log)
    assert found is not None, log[-3000:]
    read, used, aside = (int(number.replace(",", "")) for number in found.groups())
    return read, used, aside


def test_on_policy_publishes_pairs_and_all_completions_with_their_scores(
    demo: dict, reward_model: str
) -> None:
    from datasets import load_dataset

    done = pairpress(
        *("run", "on-policy", *TINY, *SHORT, *ANY_GATE),
        *("--set", "data.path=pairpress/identity", "--set", "data.data_dir=null"),
        *("--set", f"on_policy.judge.reward_model={reward_model}"),
        *("--set", "on_policy.judge.least_margin=0", "--set", "on_policy.sampling.samples=3"),
        *("--set", "on_policy.sampling.max_new_tokens=40"),
        *("--set", "evaluation.other_questions=demo/corpus/heldout_other.txt"),
        # The tiny model is sure of itself: colder samples would all be the same answer.
        *("--set", "on_policy.sampling.temperature=1.3", "--set", "on_policy.sampling.top_p=1.0"),
        # A judge of random weights may well like a word: that is what these checks would find.
        *("--set", "checks.change={S1: null, S2: null, S3: null, L1: null}"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read, used, aside = account_of(done.stderr)
    assert read == used + aside == 221
    release = json.loads((LATEST / "release.json").read_text())
    one = release["repositories"]["dataset"]
    pairs = load_dataset(one["repo"], revision=one["version"])
    samples = load_dataset(one["repo"], "completions", revision=one["version"])
    assert sum(len(rows) for rows in pairs.values()) == used
    scored = pl.concat([rows.to_polars() for rows in samples.values()])
    assert scored.height == 3 * 221
    best = scored.group_by("row").agg(pl.col("score").max())
    chosen = pl.concat([rows.to_polars() for rows in pairs.values()]).select("row", "score_chosen")
    both = chosen.join(best, on="row")
    assert both.height == used and (both["score_chosen"] == both["score"]).all()


def test_ultrafeedback_s_recipe_takes_a_sample_of_it_from_a_file(
    demo: dict, real_data: Path
) -> None:
    done = pairpress(
        *("run", "ultrafeedback", *TINY, *SHORT, *ANY_GATE),
        *("--set", f"data.path={real_data / 'ultrafeedback-sample.jsonl'}"),
        *("--set", "splits.validation=0.1", "--set", "splits.test=0.2"),
        *("--set", "evaluation.other_questions=demo/corpus/heldout_other.txt"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read, used, aside = account_of(done.stderr)
    assert read == used + aside == 200
    assert "read_as=prompt/chosen/rejected" in done.stderr


def test_what_was_set_aside_is_mended_and_fed_in_again(demo: dict, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"Tell me fact number {n} please.",
            "chosen": f"Fact {n}.",
            "rejected": f"No {n}.",
        }
        for n in range(60)
    ]
    rows += [{"prompt": f"And what of {n}?", "chosen": "", "rejected": "No."} for n in range(40)]
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = ("run", "ultrafeedback", *TINY, *SHORT, *ANY_GATE, "--set", "reading.max_length=64")
    splits = ("--set", "splits.validation=0.2", "--set", "splits.test=0.2")
    first = pairpress(*run, *splits, "--set", f"data.path={source}")
    assert account_of(first.stderr) == (100, 60, 40)
    path = re.search(r"set aside: (\S+set-aside.parquet)", first.stderr)
    assert path is not None
    aside = pl.read_parquet(path[1])
    assert aside["code"].unique().to_list() == ["empty-answer"]
    assert aside["source"].to_list() == [f"pairs.jsonl:{n}" for n in range(61, 101)]
    mended = aside.with_columns(
        pl.col("record").str.replace('"chosen": ""', '"chosen": "That as well."', literal=True)
    )
    mended.write_parquet(tmp_path / "mended.parquet")
    again = pairpress(*run, *splits, "--set", f"data.path={tmp_path / 'mended.parquet'}")
    assert account_of(again.stderr) == (40, 40, 0)


def test_a_placeholder_that_nothing_fills_refuses_the_run(demo: dict, tmp_path: Path) -> None:
    rows = [{"query": f"Are you {{{{NAME}}}}, number {n}?", "response": "Yes."} for n in range(40)]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = pairpress("run", "demo", "--set", f"data.path={path}")
    assert done.returncode == 2
    told = next(line for line in done.stderr.splitlines() if line.startswith("pairpress: "))
    assert "placeholders that nothing fills: {{name}} 40 times" in told
    assert "Set reformat.placeholders to {name: ...}" in told
