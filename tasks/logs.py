"""What a run says: mistakes in words, no secrets, and the libraries' own words on the run page.

The levels stand here and not in a setting of Prefect: a worker's runs have them too, whatever the
environment that it was started from.
"""

import logging
from collections.abc import Callable
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.flow_engine import FlowRunEngine
from prefect.logging.handlers import APILogHandler
from prefect.task_engine import SyncTaskRunEngine

from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.masking import mask_logs, safe_error

LIBRARIES = ("transformers", "trl", "peft", "accelerate", "datasets", "huggingface_hub")
TALKATIVE = ("transformers.trainer", "trl.trainer.dpo_trainer")  # their notes are of use, too


class MistakesInWords(logging.Filter):
    """A user's mistake is told in words: only our own bugs deserve a traceback.

    `told_elsewhere` is set by a command line that says the sentence itself, once, at its end;
    Prefect repeats it at every level of the DAG.
    """

    told_elsewhere = False

    def filter(self, log: logging.LogRecord) -> bool:
        error = log.exc_info[1] if isinstance(log.exc_info, tuple) else None
        mistake = isinstance(error, InputError | Refused | HubUnavailable)
        if mistake:
            log.exc_info = log.exc_text = None
        repeated = mistake or log.getMessage().startswith("Finished in state Failed(")
        return not (repeated and self.told_elsewhere)


class WithinARun(logging.Filter):
    """Outside of a run there is no page."""

    def filter(self, log: logging.LogRecord) -> bool:
        return (FlowRunContext.get() or TaskRunContext.get()) is not None


class NotesToThePage(logging.Filter):
    """What is below a warning goes to the run page alone: the terminal has a bar for it."""

    def filter(self, log: logging.LogRecord) -> bool:
        if log.levelno >= logging.WARNING:
            return True
        page.handle(log)
        return False


def _of_safe_errors(handle: Callable[..., Any]) -> Callable[..., Any]:
    return lambda engine, exc, *args, **more: handle(engine, safe_error(exc), *args, **more)


mask_logs()
# Here Prefect makes a state, a result and what the caller gets of an error, of flows and of tasks.
for engine_class in (FlowRunEngine, SyncTaskRunEngine):
    for name in ("handle_exception", "handle_timeout"):
        setattr(engine_class, name, _of_safe_errors(getattr(engine_class, name)))
for engine in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(engine).addFilter(MistakesInWords())
page = APILogHandler()
page.addFilter(WithinARun())
for library in LIBRARIES:
    there = logging.getLogger(library).handlers  # PREFECT_LOGGING_EXTRA_LOGGERS may name it, too
    if not any(isinstance(one, APILogHandler) for one in there):
        logging.getLogger(library).addHandler(page)
for name in TALKATIVE:
    logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger(name).addFilter(NotesToThePage())
