"""Tokens -> who asks, and what they may read and write; signed URLs for what carries no token.

in   DIR/token      the token of the user "pairpress", made on the first start, mode 0600
     DIR/tokens.json, optional: {"<token>": {"name": "alice", "orgs": ["acme"], "role": "read"}}
out  User, the repository asked for, or the refusal the Hub would give
     https://huggingface.co/docs/hub/security-tokens
"""

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import string
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from localhub.errors import HubError, repository_missing
from localhub.records import RepoId, Repository
from localhub.store import Store
from localhub.wire import repo_id

OWNER = "pairpress"
_SIGNED_S = 3600  # an upload or a download may begin this long after its URL was given out


@dataclass(frozen=True)
class User:
    name: str
    orgs: tuple[str, ...]
    role: str  # "read" or "write"

    def belongs_to(self, namespace: str) -> bool:
        return namespace in (self.name, *self.orgs)


def owner_token(root: Path) -> str:
    """The same at every start. Made whole under another name, so that no reader sees half of it."""
    path = root / "token"
    if not path.exists():
        letters = string.ascii_letters + string.digits
        token = "hf_" + "".join(secrets.choice(letters) for _ in range(34))
        fresh = root / f"token.{secrets.token_hex(8)}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)
        try:
            path.hardlink_to(
                fresh
            )  # unlike a rename, it leaves the token of a server begun beside us
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def further_users(root: Path) -> dict[str, User]:
    path = root / "tokens.json"
    if not path.exists():
        return {}
    users = {}
    for token, entry in json.loads(path.read_text()).items():
        if entry["role"] not in ("read", "write"):
            raise ValueError(
                f"{path}: the role of {entry['name']!r} is {entry['role']!r}, not 'read' or 'write'"
            )
        users[token] = User(entry["name"], tuple(entry["orgs"]), entry["role"])
    return users


class Gate:
    def __init__(self, store: Store, root: Path) -> None:
        self._store, self._root = store, root
        self._token = owner_token(root)
        further_users(root)  # a mistake in the file shows at the start

    def user(self, request: Request) -> User | None:
        """None without a token. A token that nobody has is refused, also for what is public."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        token = header.removeprefix("Bearer ").strip()
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return User(OWNER, (), "write")
        user = further_users(self._root).get(token)
        if user is None:
            raise HubError(
                401,
                "This localhub knows no such token. Its own is in the file 'token' of its folder: "
                "set HF_TOKEN to that, or log out to read what is public.",
            )
        return user

    def known_user(self, request: Request) -> User:
        user = self.user(request)
        if user is None:
            raise HubError(
                401, "This needs a token: set HF_TOKEN to one of this localhub's tokens."
            )
        return user

    def readable(self, request: Request) -> Repository:
        """A private repository that may not be read is not there, as on the Hub."""
        user = self.user(request)
        repository = self._store.repository(repo_id(request))
        self.check_may_read(user, repository)
        return repository

    def check_may_read(self, user: User | None, repository: Repository) -> None:
        if repository.private and not (user and user.belongs_to(repository.id.owner)):
            raise repository_missing(str(repository.id))

    def writable(self, request: Request) -> tuple[Repository, User]:
        repository = self.readable(request)
        user = self.known_user(request)
        self.check_may_write(user, repository.id)
        return repository, user

    def check_may_write(self, user: User, repo: RepoId) -> None:
        if user.role != "write":
            raise HubError(
                403,
                f"{repo}: the token of {user.name!r} may only read. Use one with the role 'write'.",
            )
        if not user.belongs_to(repo.owner):
            raise HubError(
                403,
                f"{repo}: the user {user.name!r} may not write to {repo.owner!r}, only to "
                f"{', '.join((user.name, *user.orgs))}.",
            )

    def sign(self, what: str) -> str:
        """The query that lets whoever has the URL do `what`, for an hour."""
        expires = int(time.time()) + _SIGNED_S
        return f"expires={expires}&signature={self._signature(what, str(expires))}"

    def is_signed(self, request: Request, what: str) -> bool:
        expires = request.query_params.get("expires", "")
        given = request.query_params.get("signature", "")
        return (
            expires.isdecimal()
            and int(expires) >= time.time()
            and hmac.compare_digest(given.encode(), self._signature(what, expires).encode())
        )

    def _signature(self, what: str, expires: str) -> str:
        # The token is the key: it outlives a restart, and a second server on the folder has it too.
        text = f"{expires} {what}".encode()
        return hmac.new(self._token.encode(), text, hashlib.sha256).hexdigest()


def asked_on_this_machine(request: Request) -> bool:
    """Peer and name are both loopback: a web page elsewhere can point its own name at 127.0.0.1."""
    peer = request.client.host if request.client else ""
    return _is_loopback(peer) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
