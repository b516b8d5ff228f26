"""A training that is told to stop keeps its last whole step: Ctrl-C, or Prefect's cancellation.

in   a trainer that an interruption ended wherever it was
out  checkpoint-STEP, as if it had been saved at the end of that step

https://huggingface.co/docs/transformers/main_classes/callback
"""

from pathlib import Path
from typing import Any

from tasks.core.watching import whole_checkpoints


def keeping() -> Any:
    """A callback; `keep(trainer)` saves the last whole step unless it stands on disk already."""
    import torch
    from transformers import TrainerCallback

    class Keeping(TrainerCallback):  # type: ignore[misc]
        # Random state as the last step left it. None from the moment weights change until all that
        # belongs to the step is done, its evaluation too: there is nothing whole to save then.
        drawn: tuple[Any, Any] | None = None
        epoch_begins = False

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.drawn, self.epoch_begins = random_state(), True

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not self.epoch_begins:  # the order of an epoch is drawn before its first step
                self.drawn = random_state()
            self.epoch_begins = False

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.drawn = None

        def keep(self, trainer: Any) -> None:
            step, work = trainer.state.global_step, Path(trainer.args.output_dir)
            if self.drawn is None or step == 0:
                return
            if work / f"checkpoint-{step}" in whole_checkpoints(work):
                return
            on_cpu, on_gpu = self.drawn
            torch.random.set_rng_state(on_cpu)
            torch.cuda.set_rng_state_all(on_gpu)
            trainer._save_checkpoint(trainer.model, trial=None)

    def random_state() -> tuple[Any, Any]:
        on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return torch.random.get_rng_state(), on_gpu

    return Keeping()
