"""Training on a small random model: real TRL, real peft, real checkpoints, a real kill.

It is long because what a training leaves is looked at from many sides.
"""

import json
import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ground import ROOT
from small_training import PAIRS, TRAIN, VALIDATION, left_in, recipe, small_base, train

from tasks.core.errors import InputError, Refused
from tasks.core.models import ModelRef
from tasks.core.settings import Batch, Lora, Loss, Training, Watch
from tasks.core.trainer import (
    dpo_config,
    evaluated_at,
    lora_config,
    require_modules,
    steps_of,
    trainer_for,
)
from tasks.core.watching import (
    Diverged,
    advice,
    named,
    require_ln2,
    step_of,
    watching,
    whole_checkpoints,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("base"))


def learned(folder):
    from safetensors.torch import load_file

    return load_file(folder / "stage" / "adapter" / "adapter_model.safetensors")


def history(folder):
    return json.loads((folder / "stage" / "history.json").read_text())


def evaluations(folder):
    return {entry["step"]: entry for entry in history(folder) if "eval_loss" in entry}


# How long

EIGHT = Batch(per_device_train_batch_size=8)


def test_without_epochs_and_steps_each_pair_is_seen_once():
    assert [steps_of(pairs, Training(), EIGHT) for pairs in (1, 8, 9, 800)] == [1, 1, 2, 100]


def test_a_step_is_as_many_pairs_as_batch_times_accumulation():
    batch = Batch(per_device_train_batch_size=8, gradient_accumulation_steps=4)
    assert steps_of(3200, Training(), batch) == 3200 / (8 * 4)


def test_a_tenth_of_an_epoch_is_a_tenth_of_its_steps_rounded_up():
    assert steps_of(8 * 95, Training(num_train_epochs=0.1), EIGHT) == 10


def test_max_steps_alone_goes_round_again_and_beside_epochs_it_is_a_cap():
    assert steps_of(8, Training(max_steps=50), EIGHT) == 50
    assert steps_of(80, Training(max_steps=50, num_train_epochs=1), EIGHT) == 80 / 8
    assert steps_of(800, Training(max_steps=50, num_train_epochs=1), EIGHT) == 50


@pytest.mark.parametrize("steps", [4, 10, 11, 13, 400, 5001])
def test_a_quarter_is_four_evaluations_and_the_last_is_at_the_last_step(steps):
    at = evaluated_at(steps, Watch(eval_steps=0.25))
    assert len(at) == 4 and max(at) == steps
    assert all(abs(step - k * steps / 4) < 1 for k, step in enumerate(sorted(at), start=1))


def test_every_share_and_every_number_of_steps_ends_with_an_evaluation():
    assert len(evaluated_at(100, Watch(eval_steps=0.05))) == 20
    assert evaluated_at(10, Watch(eval_steps=0.3)) == {3, 6, 9, 10}
    assert evaluated_at(12, Watch(eval_steps=5)) == {5, 10, 12}
    assert evaluated_at(3, Watch(eval_steps=5)) == {3}
    assert evaluated_at(1, Watch(eval_steps=0.25)) == {1}


# What TRL and peft are told


def test_every_setting_reaches_trl_and_peft_under_their_own_names(tmp_path):
    one = recipe(
        training={
            "learning_rate": 2e-4,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,
            "seed": 7,
        },
        batch={"gradient_accumulation_steps": 3},
        loss={
            "loss_type": ("robust", "sft"),
            "loss_weights": (1.0, 0.2),
            "label_smoothing": 0.1,
            "beta": 0.3,
        },
        lora={"lora_dropout": 0.05, "use_rslora": True, "target_modules": ("q_proj", "v_proj")},
        watch={"metric_for_best_model": "reward_accuracy"},
    )
    config, lora = dpo_config(one, 100, tmp_path), lora_config(one.lora)
    for section in (one.training, one.batch, one.loss):
        for name, value in section.model_dump().items():
            if name not in ("num_train_epochs", "max_steps"):
                told = getattr(config, name)
                assert (list(value) if isinstance(value, tuple) else value) == told, name
    assert config.max_steps == 100 and config.get_warmup_steps(100) == 10
    assert config.max_length == one.max_length
    assert config.metric_for_best_model == "eval_rewards/accuracies" and config.greater_is_better
    for name, value in one.lora.model_dump().items():
        told = getattr(lora, name)
        assert (set(value) if isinstance(value, tuple) else value) == told, name


def test_a_constant_rate_has_a_warmup_and_a_loss_is_best_when_it_is_small(tmp_path):
    config = dpo_config(recipe(), 10, tmp_path)
    assert config.lr_scheduler_type == "constant_with_warmup"
    assert config.metric_for_best_model == "eval_loss" and config.greater_is_better is False


# What is watched


def test_the_advice_names_only_what_the_recipe_does_not_do_yet():
    plain = advice(recipe(training={"learning_rate": 5e-4}))
    assert "5.0e-05" in plain and "loss.beta than 0.1" in plain and "sft" in plain
    assert "sft" not in advice(recipe(loss={"loss_type": ("sigmoid", "sft")}))


def told_of(metric, step, one):
    """What the watch says of a logged value that is not finite."""
    from transformers import TrainerState

    watch = watching(one, 10, Path("nowhere"), {})
    with pytest.raises(Refused) as refused:
        watch.on_log(None, TrainerState(global_step=step), None, logs={metric: math.nan})
    return refused.value


def test_a_value_not_finite_before_the_model_has_changed_is_not_laid_to_the_rate():
    for metric, step in (("eval_loss", 0), ("loss", 1), ("grad_norm", 1)):
        error = told_of(metric, step, recipe())
        assert not isinstance(error, Diverged)
        assert f"{metric} is nan at step {step}. No step has changed the model yet" in str(error)
        assert "loss.loss_weights" in str(error) and "float32" in str(error)
        assert "learning_rate" not in str(error)
    in_16_bits = replace(recipe(), machine=replace(recipe().machine, bf16=True, dtype="bfloat16"))
    assert "Try machine.bf16: false" in str(told_of("eval_loss", 0, in_16_bits))
    for metric, step in (("eval_loss", 1), ("loss", 2)):
        error = told_of(metric, step, recipe())
        assert isinstance(error, Diverged) and "learning_rate" in str(error)


def test_a_sigmoid_loss_that_does_not_begin_at_ln_2_means_a_wrong_reference():
    one = recipe(loss={"loss_weights": (2.0,)})
    require_ln2(2 * math.log(2) + 1e-6, one)
    with pytest.raises(Refused, match=r"reference is wrong: .*1\.5.*, not ln 2"):
        require_ln2(1.5, one)


def test_with_another_term_in_the_loss_only_the_margins_tell():
    require_ln2(2.3, recipe(loss={"loss_type": ("sigmoid", "sft"), "loss_weights": (1.0, 0.2)}))


def test_a_checkpoint_that_was_torn_while_it_was_written_is_none(tmp_path):
    for step, state in ((10, "{}"), (9, "{}"), (100, '{"log_his'), (200, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert [path.name for path in whole_checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]


# Whole trainings

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(base, tmp_path_factory):
    """(facts, folder) of the small recipe as it is."""
    folder = tmp_path_factory.mktemp("plain")
    return train(base, recipe(), folder), folder


@slow
def test_a_training_leaves_an_adapter_and_its_history_alone(base, plain):
    facts, folder = plain
    assert set(left_in(folder / "stage")) == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "history.json",
    }
    config = json.loads((folder / "stage" / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (base.repo, base.revision)
    assert sorted(evaluations(folder)) == [0, 2, 4, 6, 8]
    assert facts["steps"] == 8 and facts["train_pairs"] == len(TRAIN)
    assert facts["validation_pairs"] == len(VALIDATION)
    assert facts["epochs"] == pytest.approx(1 + 2 / math.ceil(len(TRAIN) / 4), abs=1e-4)


@slow
def test_facts_count_the_parameters_of_the_adapter_and_of_the_base(base, plain):
    facts, folder = plain
    adapter = learned(folder)
    assert facts["trainable_parameters"] == sum(weight.numel() for weight in adapter.values())
    from tasks.core.models import load_model

    assert facts["parameters"] == load_model(base).num_parameters()


@slow
def test_facts_begin_with_no_margin_and_hold_the_values_of_the_best_step(plain):
    facts, folder = plain
    start = facts["start"]
    assert start["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert start["reward_margin"] == pytest.approx(0, abs=1e-6)
    losses = {step: e["eval_loss"] for step, e in evaluations(folder).items() if step > 0}
    assert facts["best_step"] == min(losses, key=lambda step: (losses[step], step))
    assert facts["loss"] == pytest.approx(losses[facts["best_step"]], abs=1e-6)


@slow
def test_tokens_are_those_of_both_answers_with_their_prompts_in_every_pair_seen(base, tmp_path):
    from tasks.core.models import load_tokenizer
    from tasks.core.render import answer_ids

    one = recipe(training={"max_steps": None, "num_train_epochs": 1}, watch={"eval_steps": 1.0})
    facts = train(base, one, tmp_path)
    tokenizer = load_tokenizer(base)
    assert facts["tokens"] == sum(
        len(answer_ids(tokenizer, row["prompt"], row[side]))
        for row in TRAIN
        for side in ("chosen", "rejected")
    )


@slow
def test_all_linear_is_every_projection_and_not_the_output(plain):
    _, folder = plain
    config = json.loads((folder / "stage" / "adapter" / "adapter_config.json").read_text())
    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert {name.rpartition(".")[2] for name in config["target_modules"]} == set(projections)


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        (("q_proj", "c_attn"), r"'c_attn' is no linear layer .* down_proj, gate_proj"),
        (("lm_head",), r"'lm_head' is no linear layer .* can be trained"),
        (("embed_tokens",), "'embed_tokens' is no linear layer"),
        (("layers.7.self_attn.q_proj",), r"'layers\.7\.self_attn\.q_proj' is no linear layer"),
        (("proj",), "'proj' is no linear layer"),
    ],
)
def test_a_layer_that_is_not_there_is_named_with_those_that_are_and_no_weights_are_read(
    base, tmp_path, modules, named
):
    (tmp_path / "config.json").write_bytes((Path(base.repo) / "config.json").read_bytes())
    with pytest.raises(InputError, match=named):
        require_modules(ModelRef(repo=str(tmp_path), revision=""), Lora(target_modules=modules))


def test_layers_that_are_there_are_taken_by_their_last_names_or_longer_ones(base):
    for modules in (("q_proj", "down_proj"), ("layers.1.self_attn.q_proj",), ("all-linear",)):
        require_modules(base, Lora(target_modules=modules))


def test_the_modules_of_a_base_that_writes_no_text_are_refused_in_words(tmp_path):
    lora, empty = Lora(target_modules=("q_proj",)), ModelRef(repo=str(tmp_path), revision="")
    with pytest.raises(InputError, match=r"base\.model .* cannot be loaded as a model that writes"):
        require_modules(empty, lora)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match=r"base\.model .* cannot be loaded as a model that writes"):
        require_modules(empty, lora)


@slow
def test_pairs_and_their_tokens_stay_in_files_while_a_trainer_has_them(base, tmp_path):
    trainer = trainer_for(base, TRAIN, PAIRS[20:], recipe(), tmp_path)
    for dataset, pairs in ((trainer.train_dataset, TRAIN), (trainer.eval_dataset, PAIRS[20:])):
        assert dataset.column_names == ["prompt_ids", "chosen_ids", "rejected_ids"]
        assert len(dataset) == len(pairs)
        files = [Path(file["filename"]) for file in dataset.cache_files]
        assert files and all(file.is_relative_to(tmp_path / "pairs") for file in files)


@slow
def test_metrics_of_the_validation_pairs_are_means_over_pairs_in_whatever_batches(base, tmp_path):
    """10 pairs in batches of 4, 4 and 2, against sums over the pairs one by one."""
    import torch

    ten, one = PAIRS[20:], recipe()
    trainer = trainer_for(base, TRAIN, ten, one, tmp_path)
    torch.manual_seed(0)
    for name, weight in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight.data, std=0.2)  # so that policy and reference differ
    found = named(trainer.evaluate())
    policy = [[alone(trainer.model, base, pair, side) for side in ANSWERS] for pair in ten]
    with trainer.model.disable_adapter():
        reference = [[alone(trainer.model, base, pair, side) for side in ANSWERS] for pair in ten]
    rewards = [
        [one.loss.beta * (mine["logp"] - its["logp"]) for mine, its in zip(p, r, strict=True)]
        for p, r in zip(policy, reference, strict=True)
    ]
    margins = [chosen - rejected for chosen, rejected in rewards]
    answers = [answer for both in policy for answer in both]
    chosen = [both[0] for both in policy]
    expected = {
        "loss": sum(math.log(1 + math.exp(-margin)) for margin in margins) / 10,
        "chosen_rewards": sum(one for one, _ in rewards) / 10,
        "rejected_rewards": sum(other for _, other in rewards) / 10,
        "reward_margin": sum(margins) / 10,
        "reward_accuracy": sum(margin > 0 for margin in margins) / 10,
        "token_accuracy": sum(a["hits"] for a in chosen) / sum(a["tokens"] for a in chosen),
        "chosen_logps": sum(a["logp"] for a in chosen) / 10,
        "rejected_logps": sum(both[1]["logp"] for both in policy) / 10,
        "entropy": sum(a["entropy"] for a in answers) / sum(a["tokens"] for a in answers),
    }
    assert max(margins) - min(margins) > 0.01  # else any weights would do
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name


ANSWERS = ("chosen", "rejected")


def alone(model, base, pair, side):
    """Of one answer: its tokens, how many are guessed, log-probability and entropy, summed."""
    import torch

    from tasks.core.models import load_tokenizer
    from tasks.core.render import answer_ids, prompt_ids

    tokenizer = load_tokenizer(base)
    start = len(prompt_ids(tokenizer, pair["prompt"]))
    ids = torch.tensor([answer_ids(tokenizer, pair["prompt"], pair[side])])
    with torch.no_grad():
        logps = model.eval()(ids).logits[0, start - 1 : -1].log_softmax(-1)  # (tokens, vocabulary)
    answer = ids[0, start:]
    return {
        "tokens": len(answer),
        "hits": int((logps.argmax(-1) == answer).sum()),
        "logp": float(logps.gather(1, answer[:, None]).sum()),
        "entropy": float(-(logps.exp() * logps).sum()),
    }


@slow
def test_dropout_of_the_adapter_is_on_in_training_and_never_in_the_reference(base, plain, tmp_path):
    import torch

    train(base, recipe(lora={"lora_dropout": 0.5}), tmp_path)
    without, with_it = learned(plain[1]), learned(tmp_path)
    assert not all(torch.equal(without[name], with_it[name]) for name in without)
    first = next(entry for entry in history(tmp_path) if entry["step"] == 1)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-6)  # B is zero, dropped or not


@slow
def test_rank_stabilised_lora_is_written_down_so_that_merging_scales_as_training_did(
    base, tmp_path
):
    train(base, recipe(lora={"use_rslora": True}), tmp_path)
    config = json.loads((tmp_path / "stage" / "adapter" / "adapter_config.json").read_text())
    assert config["use_rslora"] is True


@slow
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_rate_rises_in_the_warmup_and_falls_to_its_schedule(base, tmp_path, schedule):
    settings = {"lr_scheduler_type": schedule, "warmup_steps": 0.5, "learning_rate": 1e-3}
    train(base, recipe(training=settings), tmp_path)
    rates = {e["step"]: e["learning_rate"] for e in history(tmp_path) if "learning_rate" in e}
    assert [rates[step] for step in range(1, 6)] == pytest.approx(
        [1e-3 * done / 4 for done in range(5)]
    )
    left = [1 - done / 4 for done in range(1, 4)]
    if schedule == "cosine":
        left = [(1 + math.cos(math.pi * (1 - share))) / 2 for share in left]
    assert [rates[step] for step in range(6, 9)] == pytest.approx([1e-3 * share for share in left])


@slow
@pytest.mark.parametrize(
    "loss",
    [
        {"loss_type": ("ipo",)},
        {"loss_type": ("hinge",)},
        {"loss_type": ("apo_zero",)},
        {"loss_type": ("apo_down",)},
        {"loss_type": ("robust",), "label_smoothing": 0.1},
        {"loss_type": ("sigmoid", "sft"), "loss_weights": (1.0, 0.2)},
    ],
)
def test_every_loss_begins_where_its_formula_says(base, tmp_path, loss):
    one = recipe(loss=loss, training={"max_steps": 1})
    facts = train(base, one, tmp_path)
    beta, smoothed, start = one.loss.beta, one.loss.label_smoothing, facts["start"]

    expected = {
        "ipo": (1 / (2 * beta)) ** 2,
        "hinge": 1.0,
        "apo_zero": 0.5 + 0.5,
        "apo_down": 0.5 + 0.5,
        "robust": ((1 - smoothed) - smoothed) * math.log(2) / (1 - 2 * smoothed),
    }
    if one.loss.loss_type[0] in expected:
        assert start["loss"] == pytest.approx(expected[one.loss.loss_type[0]], rel=1e-5)
    else:
        assert start["loss"] > math.log(2)


@slow
def test_the_best_checkpoint_goes_on_and_not_the_last(base, tmp_path):
    import torch

    settings = {"learning_rate": 0.2, "max_steps": 4}  # so high a rate overshoots in the warmup
    best = train(base, recipe(training=settings, watch={"eval_steps": 1}), tmp_path / "best")
    last = train(
        base,
        recipe(training=settings, watch={"eval_steps": 1, "metric_for_best_model": "last"}),
        tmp_path / "last",
    )
    losses = {step: e["eval_loss"] for step, e in evaluations(tmp_path / "best").items() if step}
    assert best["best_step"] == min(losses, key=lambda step: (losses[step], step)) < 4
    assert last["best_step"] == 4
    short = settings | {"max_steps": best["best_step"]}
    train(base, recipe(training=short, watch={"metric_for_best_model": "last"}), tmp_path / "short")
    one, other = learned(tmp_path / "best"), learned(tmp_path / "short")
    assert all(torch.equal(one[name], other[name]) for name in one)


@slow
def test_of_equal_checkpoints_the_earlier_goes_on(base, tmp_path):
    # Every pair is won after some steps, and stays won.
    one = recipe(
        training={"learning_rate": 0.02, "max_steps": 16},
        watch={"metric_for_best_model": "reward_accuracy", "eval_steps": 1},
    )
    facts = train(base, one, tmp_path)
    won = {s: e["eval_rewards/accuracies"] for s, e in evaluations(tmp_path).items() if s}
    full = [step for step, share in won.items() if share == max(won.values())]
    assert len(full) > 1 and facts["best_step"] == min(full)


@slow
def test_a_training_ends_where_enough_is_learned(base, tmp_path):
    one = recipe(
        training={"learning_rate": 0.05, "max_steps": 40},
        watch={"stop_when": "reward_margin >= 0.08", "eval_steps": 2},
    )
    facts = train(base, one, tmp_path)
    margins = {s: e["eval_rewards/margins"] for s, e in evaluations(tmp_path).items()}
    assert facts["steps"] < 40 and margins[facts["steps"]] >= 0.08
    assert all(margin < 0.08 for step, margin in margins.items() if step < facts["steps"])


@slow
def test_a_broken_limit_names_step_sentence_value_and_the_last_good_checkpoint(base, tmp_path):
    one = recipe(
        training={"learning_rate": 0.05, "max_steps": 40},
        watch={"limits": ["reward_margin <= start + 0.05"], "eval_steps": 2},
    )
    with pytest.raises(Diverged) as refused:
        train(base, one, tmp_path)
    evaluated, before = whole_checkpoints(tmp_path / "work")[-2:]  # the next evaluation broke it
    kept, step = evaluated, step_of(evaluated) + 2
    assert step_of(before) == step - 1
    assert f"reward_margin <= start + 0.05 does not hold at step {step}" in str(refused.value)
    assert f"against 0.05. The last good checkpoint is kept: {kept}." in str(refused.value)
    assert (kept / "adapter_model.safetensors").is_file()
    drawn = {e["step"] for e in refused.value.history if "eval_loss" in e}
    assert drawn == set(range(0, step + 1, 2))  # the broken one among them


@slow
def test_max_eval_pairs_scores_the_first_validation_pairs_alone(base, tmp_path):
    facts = train(base, recipe(watch={"max_eval_pairs": 3}), tmp_path)
    assert facts["validation_pairs"] == 3


@slow
def test_pairs_in_one_batch_or_in_two_added_up_train_the_same(base, tmp_path):
    import torch

    four = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    two = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    three = {"max_steps": 3}
    train(base, recipe(training=three, batch=four), tmp_path / "four")
    train(base, recipe(training=three, batch=two), tmp_path / "two")
    one, other = learned(tmp_path / "four"), learned(tmp_path / "two")
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


# Killed, and going on

KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from transformers import Trainer, TrainerCallback
from small_training import train
from tasks.core import train as training

base, recipe, folder, step, writing = pickle.loads(Path(sys.argv[1]).read_bytes())
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == step and not writing:
            die()

def with_kill(*args, made=training.trainer_for):
    trainer = made(*args)
    trainer.add_callback(Kill())
    return trainer

save = Trainer._save_rng_state
training.trainer_for = with_kill
Trainer._save_rng_state = lambda self, to: (
    die() if writing and self.state.global_step == step else save(self, to)
)
train(base, recipe, folder)
"""


def killed(tmp_path, *told):
    """Train in a process of its own, which a SIGKILL ends at a step, or while it saves there."""
    (tmp_path / "told").write_bytes(pickle.dumps(told))
    (tmp_path / "killed.py").write_text(KILLED)
    path = f"{ROOT}:{Path(__file__).parent}:{ROOT / 'tests'}"
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "killed.py"), str(tmp_path / "told")],
        env={"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -9, ended.stderr[-3000:]


@slow
@pytest.mark.parametrize(
    ("settings", "step", "writing"),
    [
        ({}, 5, False),
        ({}, 6, True),  # torn: no random state, no trainer_state.json
        ({"lora": {"lora_dropout": 0.5}, "training": {"lr_scheduler_type": "cosine"}}, 7, False),
        ({"training": {"max_steps": 10}, "batch": {"gradient_accumulation_steps": 2}}, 7, False),
        (
            {
                "training": {"max_steps": 10},
                "batch": {"train_sampling_strategy": "group_by_length"},
            },
            *(9, False),
        ),
        ({"batch": {"train_sampling_strategy": "token_budget"}}, 5, False),
    ],
)
def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    base, tmp_path, settings, step, writing
):
    one = recipe(**settings)
    whole = train(base, one, tmp_path / "whole")
    killed(tmp_path, base, one, tmp_path / "killed", step, writing)
    assert whole_checkpoints(tmp_path / "killed" / "work")
    assert not list((tmp_path / "killed" / "stage").iterdir())
    assert train(base, one, tmp_path / "killed") == whole
    assert left_in(tmp_path / "killed" / "stage") == left_in(tmp_path / "whole" / "stage")


@slow
def test_one_killed_after_its_last_checkpoint_is_not_trained_any_further(
    base, tmp_path, monkeypatch
):
    from tasks.core import train as training

    one = recipe(
        training={"learning_rate": 0.05, "max_steps": 40},
        watch={"stop_when": "reward_margin >= 0.08", "eval_steps": 2},
    )
    whole = train(base, one, tmp_path / "whole")
    with monkeypatch.context() as broken:
        broken.setattr(training, "keep_adapter", None)
        with pytest.raises(TypeError):
            train(base, one, tmp_path / "killed")
    assert train(base, one, tmp_path / "killed") == whole
    assert left_in(tmp_path / "killed" / "stage") == left_in(tmp_path / "whole" / "stage")


@slow
def test_equal_trainings_leave_equal_bytes_and_another_seed_others(base, plain, tmp_path):
    facts, folder = plain
    assert train(base, recipe(), tmp_path / "again") == facts
    assert left_in(tmp_path / "again" / "stage") == left_in(folder / "stage")
    train(base, recipe(training={"seed": 1}), tmp_path / "other")
    assert left_in(tmp_path / "other" / "stage") != left_in(folder / "stage")


@slow
def test_a_value_that_is_not_finite_stops_a_run_without_any_limits(base, tmp_path):
    """So large a weight is too much for the first gradient already."""
    one = recipe(training={"warmup_steps": 0}, loss={"loss_weights": (1e30,)})
    one = replace(one, loss=Loss(**one.loss.model_dump() | {"beta": 1e10}))
    with pytest.raises(Refused, match=r"\S+ is (nan|inf|-inf) at step 1\. .*loss_weights.*Try"):
        train(base, one, tmp_path)
