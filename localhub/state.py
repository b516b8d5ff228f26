"""Where a server on a folder listens, as it wrote that down for those who come later.

in   DIR/server.json {"url", "pid", "held"}; "pid" is null after a clean stop
out  State, or None where no server was ever there or the file is damaged: the next one replaces it
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from localhub.disk import write_json


@dataclass(frozen=True)
class State:
    url: str
    pid: int | None
    held: bool

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


def read_state(root: Path) -> State | None:
    try:
        saved = json.loads((root / "server.json").read_text())
        state = State(saved["url"], saved["pid"], bool(saved.get("held")))
        known = state.port is not None and isinstance(state.pid, int | None)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return state if known else None


def write_state(root: Path, state: State) -> None:
    write_json(root / "server.json", asdict(state), root / "tmp")
