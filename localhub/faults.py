"""Faults on demand, for tests: what a network, a server or a disk does on its worst days.

in   POST /_faults, a JSON list of {"method", "path": a regex searched in the raw path, "kind", ..}
         drop         the connection is reset after `after` bytes of the request's body; not done
         drop-reply   done; the connection is closed after `after` bytes of the reply's body
         status       `status` is answered, with `retry_after` seconds if given; not done
         lose-answer  done; then the connection is closed without a reply
         slow         `seconds` of waiting, then as usual; not done for a client that has gone
         late         the same, but done also for a client that has gone
         full-disk    whatever the request would keep fails with ENOSPC
     each for `times` requests (1) after the first `skip` ones (0); the first fitting one is taken
     DELETE /_faults: no faults, an empty log
out  GET /_faults: {"left": [...], "requests": [{"method", "path", "received", "sent", "status",
     "fault"}]}, bytes of the bodies; status is null before the reply and where none was made
     https://asgi.readthedocs.io/en/latest/specs/www.html

Served with `--faults` only, to the owner's token on this machine.
"""

import asyncio
import errno
import os
import re
import socket
import struct
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from localhub.access import OWNER, Gate, asked_on_this_machine
from localhub.errors import HubError
from localhub.wire import refusal

if TYPE_CHECKING:
    from _typeshed import HasFileno

PATH = "/_faults"
_KINDS = ("drop", "drop-reply", "status", "lose-answer", "slow", "late", "full-disk")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: closing sends RST, not FIN

_disk_is_full: ContextVar[bool] = ContextVar("disk_is_full", default=False)
_fsync = os.fsync


@dataclass
class Fault:
    method: str
    path: str
    kind: str
    after: int = 0
    status: int = 503
    retry_after: int | None = None
    seconds: float = 1.0
    times: int = 1
    skip: int = 0

    def fits(self, method: str, path: str) -> bool:
        return method == self.method and re.search(self.path, path) is not None


@dataclass
class Exchange:
    method: str
    path: str
    received: int = 0
    sent: int = 0
    status: int | None = None
    fault: str | None = None


class ReachableProtocol(H11Protocol):
    """uvicorn's protocol, except that the application can reach its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Faults:
    """The outermost layer: what it does to a request, no handler below can see or soften."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate
        self._faults: list[Fault] = []
        self._log: list[Exchange] = []
        # Whatever localhub keeps is synced before it gets its name: a full disk shows there.
        os.fsync = _fsync_unless_full

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["raw_path"].decode("ascii", "replace")
        if path == PATH:
            await (await self._switched(Request(scope, receive)))(scope, receive, send)
            return
        exchange = Exchange(scope["method"], path)
        self._log.append(exchange)
        connection = _Connection(scope, receive, send, exchange)
        fault = self._next_fault(exchange)
        if fault is None:
            await self._app(scope, connection.receive, connection.send)
        else:
            await self._apply(fault, scope, connection)

    def _next_fault(self, exchange: Exchange) -> Fault | None:
        for fault in self._faults:
            if not fault.fits(exchange.method, exchange.path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
            exchange.fault = fault.kind
            return fault
        return None

    async def _apply(self, fault: Fault, scope: Scope, connection: "_Connection") -> None:
        match fault.kind:
            case "drop":
                await connection.read(fault.after)
                await connection.close(reset=True)
            case "drop-reply":
                connection.left_to_send = fault.after
                await self._app(scope, connection.receive, connection.send)
                await connection.close()
            case "status":
                await connection.read()
                reply = _told(fault)
                await reply(scope, connection.receive, connection.send)
            case "lose-answer":
                connection.left_to_send = -1
                await self._app(scope, connection.receive, connection.send)
                await connection.close()
            case "slow" | "late":
                body = await connection.read()
                gone = await connection.wait(fault.seconds)
                if not gone or fault.kind == "late":
                    await self._app(scope, _replayed(body, connection), connection.send)
            case "full-disk":
                token = _disk_is_full.set(True)
                try:
                    await self._app(scope, connection.receive, connection.send)
                finally:
                    _disk_is_full.reset(token)

    async def _switched(self, request: Request) -> Response:
        try:
            await run_in_threadpool(self._check_may_switch, request)
            if request.method == "POST":
                self._faults += _faults_of(await request.json())
            elif request.method == "DELETE":
                self._faults, self._log = [], []
        except HubError as error:
            return refusal(request, error)
        left, requests = ([asdict(each) for each in kept] for kept in (self._faults, self._log))
        return JSONResponse({"left": left, "requests": requests})

    def _check_may_switch(self, request: Request) -> None:
        user = self._gate.known_user(request)
        if user.name != OWNER or user.role != "write" or not asked_on_this_machine(request):
            raise HubError(403, f"{PATH} is for the owner's token, on this machine only.")


class _Connection:
    """What passes between client and application, counted, and cut where a fault says so."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        self._transport: asyncio.Transport = scope["state"]["transport"]
        self._receive, self._send, self._exchange = receive, send, exchange
        self._gone = False
        self.left_to_send: int | None = None  # bytes of the reply's body; -1: not even its head

    async def receive(self) -> Message:
        message = await self._receive()
        self._exchange.received += len(message.get("body", b""))
        self._gone = self._gone or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
        if self.left_to_send is not None:
            if self.left_to_send < 0:
                return
            body = message.get("body", b"")[: self.left_to_send]
            self.left_to_send -= len(body)
            if message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": body, "more_body": True}
        self._exchange.sent += len(message.get("body", b""))
        await self._send(message)

    async def read(self, most: int | None = None) -> bytes:
        """The body, or as much of it as comes with the first `most` bytes."""
        body, more = b"", True
        while more and not self._gone and (most is None or len(body) < most):
            message = await self.receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body

    async def wait(self, seconds: float) -> bool:
        """True if the client goes away meanwhile."""
        try:
            await asyncio.wait_for(self.receive(), seconds)
        except TimeoutError:
            return False
        return True

    async def close(self, reset: bool = False) -> None:
        if reset:
            held: socket.socket = self._transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        else:
            self._transport.close()  # what is written already still goes out
        while not self._gone:  # else the server would answer 500 for an application that did not
            await self.receive()


def _replayed(body: bytes, connection: _Connection) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await connection.receive()

    return receive


def _told(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return JSONResponse({"error": "a fault that was asked for"}, fault.status, headers)


def _faults_of(asked: object) -> list[Fault]:
    known = {field.name for field in fields(Fault)}
    faults = []
    for entry in asked if isinstance(asked, list) else [asked]:
        if not isinstance(entry, dict) or not entry.keys() <= known:
            raise HubError(
                400, f"{entry!r} is no fault: {', '.join(sorted(known))} are its fields."
            )
        try:
            fault = Fault(**entry)
            re.compile(fault.path)
        except (TypeError, re.error) as error:
            raise HubError(400, f"{entry!r} is no fault: {error}") from error
        if fault.kind not in _KINDS or fault.times < 1:
            raise HubError(
                400, f"{entry!r}: kind is one of {', '.join(_KINDS)}; times is 1 or more."
            )
        faults.append(fault)
    return faults


def _fsync_unless_full(fd: "int | HasFileno") -> None:
    if _disk_is_full.get():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _fsync(fd)
