"""What is looked at while a model trains: not a number, a broken limit, enough learned.

in   transformers' callbacks: logged values, metrics of each evaluation
out  Refused or Diverged ends a run that is broken; `stop_when` ends one that is done
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from tasks.core.errors import Refused
from tasks.core.progress import EVERY, tell
from tasks.core.sentences import TRAINING, parse
from tasks.core.trainer import Recipe, evaluated_at

ROUNDING = {False: 1e-4, True: 0.01}  # by bf16: this far beyond a limit no limit is broken
SAVED_EVERY = 300.0  # seconds: what a kill may cost where evaluations are far apart
LOSS_AT_START = {False: 1e-4, True: 0.05}  # off ln 2, by bf16; rounding of the margins, halved


class Diverged(Refused):
    """A limit of `watch` is broken, or a value is not finite. Names step, value, what to try.

    `history` is what was logged until then, the value that ended it included.
    """

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.history: list[dict[str, Any]] = []


def named(metrics: Mapping[str, float]) -> dict[str, float]:
    """TRL's evaluation metrics by our names, as sentences use them."""
    return {ours: metrics[theirs] for ours, theirs in TRAINING.items() if theirs in metrics}


def whole_checkpoints(work: Path) -> list[Path]:
    """Checkpoints written to their end, oldest first.

    transformers writes trainer_state.json after everything else; one that was torn while being
    written has none, or one that does not parse.
    """
    found = []
    for folder in sorted(work.glob("checkpoint-*"), key=step_of):
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (OSError, json.JSONDecodeError):
            continue
        found.append(folder)
    return found


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def advice(recipe: Recipe) -> str:
    """What to try, and only what the recipe does not do already."""
    rate = recipe.training.learning_rate
    tries = [
        f"training.learning_rate: {rate / 10:.1e}, a tenth of this one",
        f"a higher loss.beta than {recipe.loss.beta:g}",
    ]
    if "sft" not in recipe.loss.loss_type:
        tries.append("an sft term in loss.loss_type, which holds the chosen answers up")
    return "Try " + "; or ".join(tries) + "."


def blame(recipe: Recipe) -> str:
    """What gives a value that is not finite while the model is still the base."""
    machine = recipe.machine
    lower = "machine.bf16: false, or " if machine.bf16 else ""
    return (
        "No step has changed the model yet, so this is not the rate's fault: it comes from the "
        f"base (its weights, here in {machine.dtype}), from a pair, or from the loss (loss.beta, "
        f"loss.loss_weights). Try {lower}loss.beta and loss.loss_weights at their defaults; where "
        "that does not help, the base's weights are not finite."
    )


def require_ln2(loss: float, recipe: Recipe) -> None:
    """Without a margin the sigmoid loss is ln 2, by TRL's own reckoning; or Refused."""
    if recipe.loss.loss_type != ("sigmoid",):
        return
    expected = recipe.loss.loss_weights[0] * math.log(2)
    limit = recipe.loss.loss_weights[0] * LOSS_AT_START[recipe.machine.bf16]
    if abs(loss - expected) > limit:
        raise Refused(
            f"the reference is wrong: before the first step the sigmoid loss is {loss:.6f}, not "
            f"ln 2 ({expected:.6f}; limit {limit:.0e})."
        )


def watching(recipe: Recipe, steps: int, work: Path, start: Mapping[str, float]) -> Any:
    """`start`: metrics of the first evaluation, where a resumed training has them already."""
    from transformers import TrainerCallback

    limits = [parse(text, TRAINING) for text in recipe.watch.limits]
    enough = parse(recipe.watch.stop_when, TRAINING) if recipe.watch.stop_when else None
    evaluations = evaluated_at(steps, recipe.watch)

    def kept() -> str:
        evaluated = [one for one in whole_checkpoints(work) if step_of(one) in evaluations]
        if not evaluated:
            return "No checkpoint was written before. "
        return f"The last good checkpoint is kept: {evaluated[-1]}. "

    class Watching(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.start = dict(start)
            self.told = 0.0
            self.saved = monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step in evaluations:
                control.should_evaluate = control.should_save = True
            # An evaluation can take long, and what interrupts it finds nothing whole to save.
            if state.global_step + 1 in evaluations or monotonic() - self.saved >= SAVED_EVERY:
                control.should_save = True
            if monotonic() - self.told >= EVERY:
                self.told = monotonic()
                tell("training", state.global_step, state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            for name, value in (logs or {}).items():
                if isinstance(value, float) and not math.isfinite(value):
                    step = state.global_step
                    # What training logs of step 1 was computed before that step changed anything.
                    if step == 0 or (step == 1 and not name.startswith("eval_")):
                        raise Refused(f"{name} is {value} at step {step}. {blame(recipe)}")
                    raise Diverged(
                        f"training diverged: {name} is {value} at step {step}. "
                        f"{kept()}{advice(recipe)}"
                    )

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
        ) -> None:
            values = named(metrics)
            if state.global_step == 0:
                self.start = values
                require_ln2(values["loss"], recipe)
                return
            for limit in limits:
                threshold = limit.threshold(self.start)
                value = values[limit.metric]
                near = abs(value - threshold) <= ROUNDING[recipe.machine.bf16]
                if not near and not limit.holds(value, threshold):
                    raise Diverged(
                        f"training diverged: {limit.text} does not hold at step "
                        f"{state.global_step}: it is {value:.4g}, against "
                        f"{threshold:.4g}. {kept()}{advice(recipe)}"
                    )
            if enough and enough.holds(values[enough.metric], enough.threshold(self.start)):
                control.should_training_stop = True

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell("training", state.global_step, state.global_step)

    return Watching()
