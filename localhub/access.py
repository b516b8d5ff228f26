"""Tokens -> who asks, and what they may read and write; signed URLs for what carries no token.

in   DIR/token        the token of the user "pairpress" in plain: what the clients on this machine
                      show, as ~/.cache/huggingface/token is; made on the first start, mode 0600
     DIR/tokens.json  the further ones, optional, hashed: what is read here opens nothing
                      {"<sha256>": {"name": "alice", "orgs": ["acme"], "role": "read"}}
     DIR/signing.key  what URLs are signed with; made on the first start, mode 0600
out  User, the repository asked for, or the refusal the Hub would give
     https://huggingface.co/docs/hub/security-tokens
"""

import fcntl
import hashlib
import hmac
import ipaddress
import json
import os
import re
import secrets
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from localhub.disk import make_folder, write_json
from localhub.errors import HubError, repository_missing
from localhub.records import RepoId, Repository, check_repo_name
from localhub.store import Store
from localhub.wire import is_number, repo_id

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
    """The same at every start."""
    return _kept_secret(root / "token", new_token())


def new_token() -> str:
    """The Hub's form, so that whatever searches a text for tokens finds these too."""
    return "hf_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(34))


def _kept_secret(path: Path, fresh: str) -> str:
    """What the file holds; `fresh` where there is none yet.

    Made whole under another name, so that no reader sees half of it.
    """
    if not path.exists():
        made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(fresh)
        try:
            path.hardlink_to(made)  # unlike a rename, it leaves that of a server begun beside us
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_text().strip()


def add_user(root: Path, token: str, name: str, orgs: Sequence[str], role: str) -> None:
    """Writes down whose token this is, by its sha256. A running server knows it at once."""
    try:
        check_repo_name(RepoId("models", name, "any"))
    except ValueError as error:
        raise ValueError(f"no user can be called {name!r}: {error}") from error
    path = root / "tokens.json"
    with (root / "tokens.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        saved = _saved(path)
        saved[_hashed(token)] = {"name": name, "orgs": list(orgs), "role": role}
        _users(path, saved)
        make_folder(root / "tmp")
        write_json(path, saved, root / "tmp")


def further_users(root: Path) -> dict[str, User]:
    """{sha256 of the token: its user}"""
    path = root / "tokens.json"
    return _users(path, _saved(path))


def _saved(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        saved = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: this is not JSON: {error}") from error
    if not isinstance(saved, dict):
        raise ValueError(f"{path}: a {type(saved).__name__} stands there, not an object")
    return saved


def _users(path: Path, saved: dict[str, Any]) -> dict[str, User]:
    users = {}
    for place, (digest, entry) in enumerate(saved.items(), start=1):
        kept = entry if isinstance(entry, dict) else {}
        sorts = [type(kept.get(key)) for key in ("name", "orgs", "role")]
        if sorts != [str, list, str]:
            raise ValueError(f"{path}: entry {place} needs a 'name', a list of 'orgs' and a 'role'")
        if not re.fullmatch("[0-9a-f]{64}", digest):  # the token itself: not to be shown here
            raise ValueError(
                f"{path}: the token of {entry['name']!r} stands there in plain, and only sha256 is "
                "kept. Remove the file and add its users again: "
                f"python -m localhub --root {path.parent} --add-token NAME"
            )
        if entry["role"] not in ("read", "write"):
            raise ValueError(
                f"{path}: the role of {entry['name']!r} is {entry['role']!r}, not 'read' or 'write'"
            )
        users[digest] = User(entry["name"], tuple(entry["orgs"]), entry["role"])
    return users


def _hashed(token: str) -> str:
    # Tokens are long and random: nothing slower than sha256 is needed against guessing.
    return hashlib.sha256(token.encode()).hexdigest()


class Gate:
    def __init__(self, store: Store, root: Path) -> None:
        self._store, self._root = store, root
        self._owner = _hashed(owner_token(root))
        self._key = _kept_secret(root / "signing.key", secrets.token_hex(32))
        further_users(root)  # a mistake in the file shows at the start

    def user(self, request: Request) -> User | None:
        """None without a token. A token that nobody has is refused, also for what is public."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        token = header[7:] if header[:7].lower() == "bearer " else header
        # Looked up by its digest, which tells an eavesdropper on the time it takes nothing.
        digest = _hashed(token.strip())
        if digest == self._owner:
            return User(OWNER, (), "write")
        user = further_users(self._root).get(digest)
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
        repository, _ = self._readable(request)
        return repository

    def _readable(self, request: Request) -> tuple[Repository, User | None]:
        user = self.user(request)
        repository = self._store.repository(repo_id(request))
        self.check_may_read(user, repository)
        return repository, user

    def check_may_read(self, user: User | None, repository: Repository) -> None:
        if not self.may_read(user, repository):
            raise repository_missing(str(repository.id))

    def may_read(self, user: User | None, repository: Repository) -> bool:
        return not repository.private or bool(user and user.belongs_to(repository.id.owner))

    def downloadable(self, request: Request) -> Repository:
        """Everybody sees what a gated repository holds; its files are for its namespace."""
        repository, user = self._readable(request)
        if repository.gated and not (user and user.belongs_to(repository.id.owner)):
            raise HubError(
                403 if user else 401,
                f"{repository.id}: its files are gated, and localhub lets in only the users of "
                f"{repository.id.owner!r}. Use a token of one of them.",
                "GatedRepo",
            )
        return repository

    def writable(self, request: Request) -> tuple[Repository, User]:
        repository, user = self.contributable(request)
        self.check_may_write(user, repository.id)
        return repository, user

    def contributable(self, request: Request) -> tuple[Repository, User]:
        """Whoever reads a repository may discuss it and propose changes, with a write token."""
        repository, _ = self._readable(request)
        user = self.known_user(request)
        self._check_role(user, repository.id)
        return repository, user

    def author_or_writer(self, request: Request, ref: str) -> tuple[Repository, User]:
        """Whoever proposed a pull request goes on with it, and whoever may write to main."""
        repository, user = self.contributable(request)
        authors = [talk.author for talk in repository.discussions if talk.ref == ref]
        if authors != [user.name]:
            self.check_may_write(user, repository.id)
        return repository, user

    def check_may_write(self, user: User, repo: RepoId) -> None:
        self._check_role(user, repo)
        if not user.belongs_to(repo.owner):
            raise HubError(
                403,
                f"{repo}: the user {user.name!r} may not write to {repo.owner!r}, only to "
                f"{', '.join((user.name, *user.orgs))}.",
            )

    def _check_role(self, user: User, repo: RepoId) -> None:
        if user.role != "write":
            raise HubError(
                403,
                f"{repo}: the token of {user.name!r} may only read. Use one with the role 'write'.",
            )

    def sign(self, what: str) -> str:
        """The query that lets whoever has the URL do `what`, for an hour."""
        expires = int(time.time()) + _SIGNED_S
        return f"expires={expires}&signature={self._signature(what, str(expires))}"

    def is_signed(self, request: Request, what: str) -> bool:
        expires = request.query_params.get("expires", "")
        given = request.query_params.get("signature", "")
        return (
            is_number(expires)
            and int(expires) >= time.time()
            and hmac.compare_digest(given.encode(), self._signature(what, expires).encode())
        )

    def _signature(self, what: str, expires: str) -> str:
        # The key outlives a restart, and a second server on the folder has it too.
        text = f"{expires} {what}".encode()
        return hmac.new(self._key.encode(), text, hashlib.sha256).hexdigest()


def asked_on_this_machine(request: Request) -> bool:
    """Peer and name are both loopback: a web page elsewhere can point its own name at 127.0.0.1."""
    peer = request.client.host if request.client else ""
    return _is_loopback(peer) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
