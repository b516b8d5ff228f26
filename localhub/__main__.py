"""python -m localhub --root DIR [--host 127.0.0.1] [--port 0]
python -m localhub --root DIR --add-token NAME [--role read|write] [--org ORG ...]

in   a folder, made if missing
out  one line once connections are accepted: localhub: http://127.0.0.1:PORT (store DIR);
     DIR/server.json {"url", "pid", "held"} while it runs ("pid" is null after a clean stop)
     with --add-token: one line, the new token, which is kept nowhere but as its sha256
     https://www.uvicorn.org/
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn

from localhub.access import add_user, new_token
from localhub.app import localhub_app
from localhub.state import State, read_state, write_state


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on: 40 ms more for every reply.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(socket.SOMAXCONN)
    return listener


def _bind(host: str, port: int, root: Path) -> socket.socket:
    if port:
        return _listen(host, port)
    earlier = read_state(root)
    try:  # the port of the last run, so that URLs printed then stay valid
        return _listen(host, earlier.port if earlier else 0)
    except OSError:  # taken by somebody else meanwhile
        return _listen(host, 0)


async def _serve(server: uvicorn.Server, listener: socket.socket, root: Path, held: bool) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        write_state(root, State(url, os.getpid(), held))
        print(f"localhub: {url} (store {root})", flush=True)
    await serving


def _stop_with_holder() -> None:
    """A killed holder closes the pipe as well: no server is left behind."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(0)  # uvicorn raises the signal again once the open replies are done


def _protocol(faults: bool) -> type[asyncio.Protocol] | str:
    if not faults:
        return "h11"  # whatever else is installed: the one whose limits the tests know
    from localhub.faults import ReachableProtocol

    return ReachableProtocol


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no number from 0 to 65535")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="localhub", description="A Hugging Face Hub in a folder.")
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds the store")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="0: the last one if free, else any")
    parser.add_argument(
        "--held", action="store_true", help="stop when standard input closes: with its holder"
    )
    parser.add_argument(
        "--shared", action="store_true", help="with --held: others may use it while it runs"
    )
    parser.add_argument(
        "--faults", action="store_true", help="serve /_faults, the switch that tests use"
    )
    parser.add_argument("--add-token", metavar="NAME", help="print a new token for this user, once")
    parser.add_argument(
        "--role", choices=("read", "write"), default="read", help="of that token (%(default)s)"
    )
    parser.add_argument(
        "--org", action="append", default=[], help="that user belongs to; may be given again"
    )
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    # Others on this machine have no business in it: private repositories lie here in plain.
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if arguments.add_token is not None:
            token = new_token()
            add_user(root, token, arguments.add_token, arguments.org, arguments.role)
            print(token)
            return
        app = localhub_app(root, faults=arguments.faults)
    except ValueError as error:  # in what a person wrote into the folder
        print(f"localhub: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a file in its place, a folder of somebody else
        place = error.filename or root
        print(f"localhub: --root {place}: {error.strerror}. Give a folder.", file=sys.stderr)
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if arguments.held:
        threading.Thread(target=_stop_with_holder, daemon=True).start()
    config = uvicorn.Config(
        app,
        http=_protocol(arguments.faults),
        access_log=False,  # it would write signed URLs down
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    try:
        listener = _bind(arguments.host, arguments.port, root)
    except OSError as error:
        place = f"{arguments.host}:{arguments.port}"
        print(
            f"localhub: {place}: cannot be listened on ({error.strerror}). Give another --port.",
            file=sys.stderr,
        )
        sys.exit(2)
    try:
        held = arguments.held and not arguments.shared
        asyncio.run(_serve(uvicorn.Server(config), listener, root, held))
    finally:
        state = read_state(root)
        if state is not None and state.pid == os.getpid():
            write_state(root, replace(state, pid=None))


if __name__ == "__main__":
    main()
