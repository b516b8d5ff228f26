"""Where the numbers go: TensorBoard files always, Weights & Biases where it can be used."""

import socket
import sys

import pytest
from small_training import TRAIN, VALIDATION, recipe, small_base

from tasks.core import tracking as module
from tasks.core.errors import InputError
from tasks.core.settings import Tracking
from tasks.core.tracking import Trackers, require, slug, tracked
from tasks.core.train import train_adapter

ASKED = Tracking(wandb_project="deep-qwen", run_name="first", notes="is the rate too high?")


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """No key, no login and no mode of Weights & Biases; its caches below the test's folder."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))
    return tmp_path


def scalars(folder):
    """{name: {step: value}} as TensorBoard itself reads the files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in events.Tags()["scalars"]
    }


def logged(callbacks, step, **metrics):
    from transformers import TrainerControl, TrainerState, TrainingArguments

    for callback in callbacks:
        callback.on_log(
            *(TrainingArguments(use_cpu=True), TrainerState(global_step=step), TrainerControl()),
            logs=metrics,
        )


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("first", "first"),
        ("a/b", "a-b"),
        ("../../x", "x"),
        ("/", "unnamed"),
        ("lower rate? yes", "lower-rate-yes"),
        ("x" * 300 + "-lr5e-06-beta0.1", "x" * 44 + "-lr5e-06-beta0.1"),
    ],
)
def test_whatever_a_run_is_called_its_files_lie_in_their_folder(name, file):
    assert slug(name) == file


def test_nothing_is_required_where_no_project_is_named(nobody):
    require(Tracking())


def test_a_project_without_a_login_is_refused_before_training_with_three_ways_out(nobody):
    with pytest.raises(InputError, match=r"WANDB_API_KEY, .*wandb login.*, .*WANDB_MODE=offline"):
        require(ASKED)


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_a_project_whose_runs_stay_here_needs_no_login(nobody, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    require(ASKED)


def test_a_key_in_the_environment_is_a_login(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    require(ASKED)


def test_a_netrc_entry_is_a_login_to_its_own_host_alone(nobody, monkeypatch):
    (nobody / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {'k' * 40}\n")
    require(ASKED)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    with pytest.raises(InputError, match="nobody is logged in"):
        require(ASKED)


def test_a_project_without_the_library_is_refused_with_its_extra(nobody, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"wandb is not installed\. pip install 'pairpress\[wand"):
        require(ASKED)


@pytest.mark.slow
def test_what_is_logged_stands_in_files_that_tensorboard_reads(tmp_path):
    with tracked(Trackers(tmp_path, "one"), 0) as callbacks:
        logged(callbacks, 1, loss=0.5)
        logged(callbacks, 1, **{"eval_rewards/chosen": 0.25})
    assert scalars(tmp_path) == {"train/loss": {1: 0.5}, "eval/rewards/chosen": {1: 0.25}}


@pytest.mark.slow
def test_a_resumed_training_draws_no_step_twice(tmp_path):
    with tracked(Trackers(tmp_path, "one"), 0) as callbacks:
        for step in (1, 2, 3):
            logged(callbacks, step, loss=float(step))
    with tracked(Trackers(tmp_path, "one"), 1) as callbacks:  # its last checkpoint was step 1
        for step in (2, 3, 4):
            logged(callbacks, step, loss=10.0 * step)
    assert scalars(tmp_path)["train/loss"] == {1: 1.0, 2: 20.0, 3: 30.0, 4: 40.0}


@pytest.mark.slow
def test_offline_a_run_with_its_notes_and_settings_is_written_and_nothing_of_the_machine(
    nobody, monkeypatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    base = small_base(nobody / "base")
    folder = nobody / "events"
    (nobody / "stage").mkdir()
    facts = train_adapter(
        *(base, TRAIN, VALIDATION, recipe(), nobody / "stage"),
        work=nobody / "work",
        reference=None,
        trackers=Trackers(folder, "first", ASKED, {"learning_rate": 0.001, "base": "tiny"}),
    )
    (written,) = folder.glob("wandb/offline-run-*/*.wandb")
    text = written.read_bytes()
    for word in (b"deep-qwen", b"first", b"is the rate too high?", b"learning_rate", b"tiny"):
        assert word in text, word
    assert b"eval/rewards/margins" in text
    for word in (socket.gethostname(), str(base.repo), sys.argv[0], "small_training"):
        assert len(word) < 4 or word.encode() not in text, word
    chosen = scalars(folder)["eval/rewards/chosen"]
    assert sorted(chosen) == [0, 2, 4, 6, 8]
    best = chosen[facts["best_step"]]
    assert best == pytest.approx(facts["chosen_rewards"], abs=1e-6)
