"""A flow that ends as it is asked to, with our hooks, for test_alerts.py.

python tests/flows/ends.py TOKEN ADDRESS_OF_NOBODY     runs without a worker, one after the other
"""

import contextlib
import logging
import os
import signal
import sys
import time

from prefect import flow, get_run_logger

from tasks.alerts import AT_THE_END
from tasks.core.errors import InputError, Refused
from tasks.staged import stage_task


@stage_task("count rows")
def count(how: str, token: str) -> None:
    get_run_logger().info("the token is %s", token)
    logging.getLogger("transformers.trainer").info(f"Num examples = 3, {token}")
    logging.getLogger("trl.trainer.dpo_trainer").warning(f"no pad token, {token}")
    if how == "refuse":
        raise Refused("strict 0.5 is below 0.9: train longer.")
    if how == "mistake":
        raise InputError("rows.jsonl: no such file. Name one that is there.")
    if how == "bug":
        raise KeyError(f"who wrote {token} here")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "wait":
        time.sleep(600)


@flow(name="ends", **AT_THE_END)
def ends(how: str, token: str) -> None:
    if how == "leak":  # in a flow, outside of any task
        raise FileNotFoundError(2, "No such file", f"https://u:{token}@hub/rows")
    count(how, token)


if __name__ == "__main__":
    known, gone = sys.argv[1:]
    for way in ("finish", "refuse", "mistake", "leak"):
        with contextlib.suppress(Refused, InputError, RuntimeError):
            ends(way, known)
    os.environ["PAIRPRESS_WEBHOOK_URL"] = gone
    ends("unheard", known)
