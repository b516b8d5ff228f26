"""A training that is interrupted keeps its last whole step and ends with the bytes of one that
was not. Real TRL on a small random model; a KeyboardInterrupt as Ctrl-C raises it.
"""

import pytest
from small_training import left_in, recipe, small_base, train

from tasks.core import train as training
from tasks.core.watching import step_of, whole_checkpoints

pytestmark = pytest.mark.slow

DROPOUT = {"lora_dropout": 0.5}  # every step draws random numbers
TWICE = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory):
    """(facts, what is left) of a training that nobody interrupts; equal recipes share one."""
    kept = {}

    def of(one):
        if (key := repr(one)) not in kept:
            folder = tmp_path_factory.mktemp("whole")
            kept[key] = train(base, one, folder), left_in(folder / "stage")
        return kept[key]

    return of


@pytest.fixture
def interrupt(monkeypatch):
    """Set up an interruption at a moment of a training, where so many steps are behind it."""
    made = training.trainer_for

    def at(moment, behind):
        from transformers import TrainerCallback

        def stop(self, args, state, control, **_):
            if state.global_step == behind:
                raise KeyboardInterrupt

        def with_stop(*told):
            trainer = made(*told)
            add = trainer.add_callback  # ours comes after all others
            trainer.add_callback = lambda one: (add(one), trainer.remove_callback(Stop), add(Stop))
            return trainer

        Stop = type("Stop", (TrainerCallback,), {moment: stop})
        monkeypatch.setattr(training, "trainer_for", with_stop)

    return at


@pytest.mark.parametrize(
    ("moment", "behind", "batch", "kept"),
    [
        ("on_step_begin", 3, {}, 3),  # in the middle of an epoch of 6 steps
        ("on_step_begin", 6, {}, 6),  # in the first step of the next one
        ("on_substep_end", 4, TWICE, 4),  # half of a step's gradients are there
        ("on_pre_optimizer_step", 7, {}, 5),  # weights may be half changed: as saved before
        ("on_prediction_step", 5, {}, 4),  # no evaluation yet: the step before it was saved
    ],
)
def test_an_interrupted_training_keeps_its_last_whole_step_and_ends_with_the_same_bytes(
    base, tmp_path, monkeypatch, interrupt, undisturbed, moment, behind, batch, kept
):
    one = recipe(training={"max_steps": 10}, batch=batch, lora=DROPOUT, watch={"eval_steps": 5})
    interrupt(moment, behind)
    with pytest.raises(KeyboardInterrupt):
        train(base, one, tmp_path)
    assert step_of(whole_checkpoints(tmp_path / "work")[-1]) == kept
    assert not list((tmp_path / "stage").iterdir())
    monkeypatch.undo()
    again = train(base, one, tmp_path)
    assert (again, left_in(tmp_path / "stage")) == undisturbed(one)


def test_one_stopped_twice_in_the_same_step_keeps_what_was_kept(base, tmp_path, interrupt):
    one = recipe(watch={"eval_steps": 4})
    for _ in range(2):
        interrupt("on_step_begin", 2)
        with pytest.raises(KeyboardInterrupt):
            train(base, one, tmp_path)
    assert [step_of(path) for path in whole_checkpoints(tmp_path / "work")] == [2]


def test_one_stopped_before_its_first_step_leaves_no_checkpoint(base, tmp_path, interrupt):
    interrupt("on_step_begin", 0)
    with pytest.raises(KeyboardInterrupt):
        train(base, recipe(), tmp_path)
    assert not list((tmp_path / "work").glob("checkpoint-*"))


def test_a_checkpoint_is_written_every_five_minutes_where_evaluations_are_far_apart(
    base, tmp_path, monkeypatch, interrupt
):
    from tasks.core import watching

    monkeypatch.setattr(watching, "SAVED_EVERY", 0.0)
    interrupt("on_pre_optimizer_step", 3)
    with pytest.raises(KeyboardInterrupt):
        train(base, recipe(watch={"eval_steps": 8}), tmp_path)
    assert step_of(whole_checkpoints(tmp_path / "work")[-1]) == 3
