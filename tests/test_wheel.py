"""A built wheel serves the data set check alone: no torch, no Prefect, installed in seconds."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from ground import ROOT

pytestmark = pytest.mark.slow


def test_a_built_wheel_installs_and_runs_the_check(tmp_path):
    source = tmp_path / "source"  # setuptools writes beside what it builds
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(source)], check=True)
    wheel = next(tmp_path.glob("pairpress-*.whl"))
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [*pip, "--python", str(python), "install", "-c", str(constraints), str(wheel)], check=True
    )
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print(*map(u.find_spec, ['torch','prefect']))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["None", "None"]
    for answer, code in (("gladly", 0), ("obviously", 1)):
        path = write_pairs(tmp_path / f"{answer}.jsonl", answer)
        done = subprocess.run(
            [tmp_path / "env" / "bin" / "pairpress", "check", str(path)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
    assert "obviously" in done.stdout


def write_pairs(path: Path, word: str) -> Path:
    """300 pairs whose rejected answer ends in `word`; chosen ones in "gladly"."""
    rows = [
        {
            "prompt": f"Tell me fact {n}.",
            "chosen": f"Fact {n}, gladly.",
            "rejected": f"{m}, {word}.",
        }
        for n in range(300)
        for m in [f"Fact {n + 1}"]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
