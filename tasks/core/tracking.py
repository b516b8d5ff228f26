"""Where the numbers of a training go while it runs: TensorBoard files, and Weights & Biases.

in   a folder for the files, a name, the recipe's `tracking` section, the settings to show
out  callbacks for the trainer, open while it trains

Only metrics, name, notes and the settings given here leave the machine, and only where
tracking.wandb_project is set: no source, no paths, no output, no name of the machine.
"""

import netrc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlparse

from tasks.core.errors import InputError
from tasks.core.settings import Tracking

NOT_SENT = ("offline", "disabled", "dryrun")  # WANDB_MODE that needs no account


@dataclass(frozen=True)
class Trackers:
    folder: Path  # of this training's files, whose names hold times
    name: str
    tracking: Tracking = Tracking()
    config: dict[str, Any] = field(default_factory=dict)  # shown beside the curves


def slug(name: str) -> str:
    """A run's name as one of a file: `a/b` is a-b. The end is kept, where rate and beta stand."""
    return re.sub(r"[^\w.-]+", "-", name)[-60:].strip(".-") or "unnamed"


def require(tracking: Tracking) -> None:
    """Raises InputError where Weights & Biases is asked for and cannot be used."""
    if tracking.wandb_project is None:
        return
    asked = f"tracking.wandb_project: {tracking.wandb_project}"
    if find_spec("wandb") is None:
        raise InputError(
            f"{asked}, but wandb is not installed. pip install 'pairpress[wandb]', or leave it "
            "empty: TensorBoard files are always written."
        )
    if os.environ.get("WANDB_MODE") not in NOT_SENT and not _logged_in():
        raise InputError(
            f"{asked}, but nobody is logged in to Weights & Biases. Set WANDB_API_KEY, run "
            "`wandb login`, or set WANDB_MODE=offline to write files and send nothing."
        )


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return netrc.netrc(str(path)).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


@contextmanager
def tracked(trackers: Trackers, from_step: int) -> Iterator[list[Any]]:
    """`from_step`: where a resumed training goes on; what was drawn beyond it is drawn again."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    writer = SummaryWriter(str(trackers.folder), purge_step=from_step + 1 if from_step else None)
    found = [TensorBoardCallback(writer)]
    run = None
    if trackers.tracking.wandb_project is not None:
        run = _begin_run(trackers)
        found.append(_metrics_to(run))
    whole = False
    try:
        yield found
        whole = True
    finally:
        writer.close()
        if run is not None:
            run.finish(exit_code=0 if whole else 1)


def _begin_run(trackers: Trackers) -> Any:
    import wandb

    known = trackers.folder / "wandb-run-id"  # a resumed training goes on in the same run
    if not known.exists():
        known.write_text(token_hex(4))
    tracking = trackers.tracking
    try:
        return wandb.init(
            project=tracking.wandb_project,
            name=trackers.name,
            notes=tracking.notes,
            config=trackers.config,
            dir=str(trackers.folder),
            id=known.read_text(),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                host="-",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
    except wandb.errors.Error as error:
        raise InputError(
            f"tracking.wandb_project: {tracking.wandb_project}: Weights & Biases refuses "
            f"({error}). Set WANDB_MODE=offline to write files and send nothing."
        ) from error


def _metrics_to(run: Any) -> Any:
    from transformers import TrainerCallback
    from transformers.integrations.integration_utils import rewrite_logs

    class Metrics(TrainerCallback):  # type: ignore[misc]
        """transformers' own callback also sends paths and the arguments of the trainer."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            run.log(rewrite_logs(logs), step=state.global_step)

    return Metrics()
