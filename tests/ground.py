"""Every test on its own ground: no test sees a person's token, cache, Hub or Prefect profile.

HF_ENDPOINT is read when huggingface_hub is imported, so it is set here, before any test module is:
to a loopback port on which the `hub` fixture starts a real localhub when a test asks for it.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GROUND = Path(tempfile.mkdtemp(prefix="pairpress-tests-"))
atexit.register(shutil.rmtree, GROUND, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


URL = f"http://127.0.0.1:{_free_port()}"
PUBLIC_TOKEN = os.environ.get("PAIRPRESS_PUBLIC_TOKEN")  # for the tests marked public alone
for _name in [name for name in os.environ if name.startswith(("HF_", "PREFECT_", "PAIRPRESS_"))]:
    del os.environ[_name]
os.environ |= {
    "HF_ENDPOINT": URL,
    "HF_HOME": str(GROUND / "hf"),
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PREFECT_HOME": str(GROUND / "prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PAIRPRESS_HOME": str(GROUND / "work"),
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


def pairpress(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line as a person calls it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
