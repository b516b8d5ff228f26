"""Where a line of text names this machine: its folders, its user, its host, any folder of a disk.

in   a line, and `Here`, what this machine is called
out  what stands there, in words, and whether it may be a quotation: a path that a row or an answer
     speaks of is no leak, a path of this very machine always is

Roots are told apart from the paths of addresses (/v1/chat, /datasets/owner/name) by name: the
folders in which people's files lie on Linux, macOS and in notebooks, and what stands at the root of
this machine's own disk. Of Windows any path with a drive. Paths from the root of a system that are
the same everywhere (/usr/bin/env) are nobody's.
"""

import getpass
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tasks.core.stage import ROOT, work_folder

PEOPLES = ("home", "Users", "root", "mnt", "media", "Volumes", "scratch", "workspace")
ROOTS = frozenset([*PEOPLES, "tmp", "private", "var", "opt"])
# At the root of every system; no folder of a person.
LINUX = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc")
SYSTEM = frozenset([*LINUX, "run", "sbin", "snap", "srv", "sys", "usr", "cores", "Library"])
# First parts of the Hub's own addresses, which cards link to without its name.
ADDRESSES = frozenset(["api", "collections", "datasets", "docs", "models", "papers", "spaces"])
# Names of users and hosts that are everybody's, and words of every release.
USERS = ("admin", "app", "debian", "docker", "home", "host", "jovyan", "localhost", "nobody")
WORDS = ("adapter", "data", "dataset", "main", "model", "models", "report", "test", "train")
COMMON = frozenset([*USERS, *WORDS, "root", "runner", "ubuntu", "user", "users", "validation"])
SAMPLE_USERS = frozenset(["me", "user", "username", "you", "yourname", "your_name", "your-name"])

PART = r"[\w.@+=~-]+"
ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s\"'`<>)\]]+")
PICTURE = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")
ABSOLUTE = re.compile(rf"(?<![\w.~$%*)\]}}/-])/{PART}(?:/{PART})+")
RELATIVE = re.compile(rf"(?<![\w.@+=~/-]){PART}(?:/{PART})+")
DRIVE = re.compile(
    r"(?<!\w)[A-Za-z]:(?:\\{1,2}[\w.~+-][\w .~+-]*){2,}|(?<!\w)[A-Za-z]:/(?:Users)/[\w.]+"
)


class Here(NamedTuple):
    places: tuple[str, ...]  # folders of this run
    roots: frozenset[str]  # first parts of a path on this disk
    user: str | None  # None: everybody's name
    host: str | None


class Named(NamedTuple):
    what: str  # "the local path /..."
    quotable: str | None  # as it stands there; None: never a quotation


def this_machine() -> Here:
    return Here(
        places=_places(),
        roots=ROOTS | {path.name for path in Path("/").iterdir() if path.is_dir()} - SYSTEM,
        user=_own(Path.home().name) or _own(getpass.getuser()),
        host=_own(socket.gethostname().split(".")[0]),
    )


def names_in(line: str, here: Here) -> Iterator[Named]:
    """Of each path the first thing that is wrong with it."""
    if "%2F" in line or "%2f" in line:
        line = unquote(line)
    line = PICTURE.sub(" ", line)
    for place in here.places:
        if re.search(rf"{re.escape(place)}(?![\w-])", line):
            yield Named(f"the local path {place}", None)
            return
    for address in ADDRESS.findall(line):
        if here.host and _host(address) == here.host:
            yield Named(f"this machine's name {here.host} in {address}", None)
    line = ADDRESS.sub(lambda found: _file(found[0]), line)
    for found in ABSOLUTE.finditer(line):
        yield from _absolute(
            found[0].rstrip("."), line[max(0, found.start() - 6) : found.start()], here
        )
    for found in RELATIVE.finditer(line) if here.host else ():
        if here.host in found[0].rstrip(".").split("/")[1:]:
            yield Named(f"this machine's name {here.host} in {found[0]}", None)
    for found in DRIVE.finditer(line):
        yield Named(f"the local path {found[0]}", found[0])


def named_in_file_name(name: str, here: Here) -> bool:
    """events.out.tfevents.1795262545.HOST.28146.0: TensorBoard names the host in its files."""
    return here.host is not None and here.host in re.split(r"[/.]", name)


def _absolute(path: str, before: str, here: Here) -> Iterator[Named]:
    first, *rest = path[1:].split("/")
    link = before.endswith(("](", 'href="', 'src="'))
    if first in ADDRESSES and link:
        return
    if first in ROOTS or (first in here.roots and not link):
        if not (first in ("home", "Users") and rest[0].lower() in SAMPLE_USERS):
            yield Named(f"the local path {path}", path)
    elif name := next((one for one in (here.user, here.host) if one and one in rest), None):
        yield Named(f"{name}, a name of this machine, in the path {path}", path)


def _file(address: str) -> str:
    """file:///a/b is the path /a/b; any other address is none."""
    return " " + urlsplit(address).path if address.lower().startswith("file:") else " "


def _host(address: str) -> str | None:
    try:
        return (urlsplit(address).hostname or "").split(".")[0]
    except ValueError:  # [a pattern in brackets] after two slashes
        return None


def _places() -> tuple[str, ...]:
    """Longest first, also as links resolve them; a folder at the root is a word, and no place."""
    folders: Iterable[Path] = [
        Path.home(),
        Path.cwd(),
        work_folder(),
        ROOT,
        Path(sys.prefix),
        *(Path(os.environ[name]) for name in ("HF_HOME", "HF_HUB_CACHE") if name in os.environ),
    ]
    both = {str(place) for folder in folders for place in (folder.absolute(), folder.resolve())}
    return tuple(sorted((one for one in both if one.count("/") > 1), key=len, reverse=True))


def _own(name: str) -> str | None:
    return name if len(name) > 2 and name.lower() not in COMMON else None
