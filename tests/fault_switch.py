"""The fault switch of a localhub that runs with `--faults`, as tests hold it.

in   faults as localhub/faults.py describes them
out  they are set, the requests since the last `clear` are listed
"""

from dataclasses import dataclass
from typing import Any

import httpx

from localhub.client_env import Server


@dataclass(frozen=True)
class Switch:
    server: Server

    def add(self, method: str, path: str, kind: str, **more: float) -> None:
        self._ask("POST", [{"method": method, "path": path, "kind": kind, **more}])

    def clear(self) -> None:
        self._ask("DELETE")

    def left(self) -> list[dict[str, Any]]:
        return self._ask("GET")["left"]

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """Those whose method and path contain the given texts."""
        asked = self._ask("GET")["requests"]
        return [each for each in asked if method in each["method"] and path in each["path"]]

    def _ask(self, method: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        url = f"{self.server.url}/_faults"
        with httpx.Client(trust_env=False, headers=headers, timeout=30) as client:
            return client.request(method, url, json=body).raise_for_status().json()
