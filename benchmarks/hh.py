"""The transcripts of HH-RLHF that the benchmarks read: https://huggingface.co/datasets/Anthropic/hh-rlhf

in   ../shared/data/hh-harmless-base-test.jsonl.gz and hh-helpful-base-test.jsonl.gz: the files
     harmless-base/test.jsonl.gz and helpful-base/test.jsonl.gz of that data set
out  their lines, as they are
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HARMLESS, HELPFUL = "hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz"


def hh_lines(*names: str) -> Iterator[str]:
    for name in names or (HARMLESS, HELPFUL):
        where = name.removeprefix("hh-").replace("-test", "/test")
        path = needed(
            name, f" Put {where} of https://huggingface.co/datasets/Anthropic/hh-rlhf there."
        )
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            yield from lines


def needed(name: str, way_out: str = "") -> Path:
    if not (DATA / name).is_file():
        raise SystemExit(f"{DATA / name}: not there, and this benchmark measures on it.{way_out}")
    return DATA / name
