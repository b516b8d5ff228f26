"""A release through the public Hub, in private repositories that are deleted again.

Needs PAIRPRESS_PUBLIC_TOKEN, a token that may write; `-m public` runs it. With Xet and without are
two processes, since the client reads the variable when it is imported. The same steps against a
localhub prove that the steps are right; what the public Hub makes of them it alone can show.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ground import PUBLIC_TOKEN, ROOT
from huggingface_hub import HfApi

from localhub.client_env import Server

PUBLIC_HUB = "https://huggingface.co"
STEPS = [
    "staged v1, verified: 10 lines",
    "promoted v1, and once more without a commit",
    "staged v2, verified: 10 lines",
    "proposed v2, merged",
    "promoted v2, and once more without a commit",
    "rolled back to v1",
    "cleaned",
    "deleted",
]


def steps(endpoint: str, token: str, home: Path, xet: bool) -> list[str]:
    done = subprocess.run(
        [sys.executable, "release_and_delete.py"],
        cwd=Path(__file__).parent,
        env=os.environ
        | {
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": token,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            "PAIRPRESS_HOME": str(home / "work"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        },
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:].replace(token, "hf_...")
    return done.stdout.splitlines()


@pytest.mark.public
@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_a_release_goes_through_the_public_hub(xet: bool, tmp_path: Path) -> None:
    if PUBLIC_TOKEN is None:
        pytest.skip("no PAIRPRESS_PUBLIC_TOKEN: a token of the public Hub that may write")
    if xet and importlib.util.find_spec("hf_xet") is None:
        pytest.skip("hf_xet is not installed, so the client would use LFS: pip install hf_xet")
    assert steps(PUBLIC_HUB, PUBLIC_TOKEN, tmp_path, xet) == STEPS


@pytest.mark.slow
def test_the_same_steps_go_through_a_local_hub(hub: Server, tmp_path: Path) -> None:
    assert steps(hub.url, hub.token, tmp_path, xet=False) == STEPS
    left = [one.id for one in HfApi().list_models(author="pairpress", search="pairpress-test-")]
    assert left == []
