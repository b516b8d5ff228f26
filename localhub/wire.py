"""HTTP requests -> the values the handlers work with; values and refusals -> replies.

in   paths whose revisions are quoted with nothing safe (refs%2Fpr%2F1), JSON bodies
out  RepoId, texts, checked fields; pages with a Link header; {"error": ...} with the Hub's headers
     https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

import errno
import json
import re
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localhub.errors import HubError, repository_missing
from localhub.records import RepoId

T = TypeVar("T")

_HEAD_LIMIT = 16 * 1024
_BODY_LIMIT = 16 * 1024 * 1024

# Ids of the Hub's early days, such as gpt2: clients ask for them when a name is no local folder.
_NO_OWNER = re.compile(
    r"/api/(?:models|datasets)/[^/]+(?:/(?:revision|tree|paths-info)/.+)?"
    r"|/(?:datasets/)?[^/]+/resolve/[^/]+/.+"
)


class RawPath:
    """Routes on the path as it was sent, since decoding first would lose what %2F stood for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
            if _head_size(scope) > _HEAD_LIMIT:  # the server below looks only at unfinished ones
                told = HubError(431, f"the head of the request is over {_HEAD_LIMIT} bytes.")
                await refusal(Request(scope), told)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _head_size(scope: Scope) -> int:
    """With the spaces, colons and line ends that HTTP/1.1 puts between its parts."""
    line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) + 13
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) + 2


def parameter(request: Request, name: str) -> str:
    return unquote(request.path_params[name])


def repo_id(request: Request) -> RepoId:
    datasets = request.scope["path"].startswith(("/api/datasets/", "/datasets/"))
    kind = "datasets" if datasets else "models"
    return RepoId(kind, parameter(request, "owner"), parameter(request, "name"))


def page_url(request: Request, repo: RepoId) -> str:
    return f"{str(request.base_url).rstrip('/')}{repo.page}"


async def small_body(request: Request) -> bytes:
    """For requests that tell something and carry no files: memory must not grow with a body."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise HubError(413, f"the body is over {_BODY_LIMIT} bytes: files go by LFS.")
    return bytes(body)


async def json_body(request: Request, missing: bool = False) -> dict[str, Any]:
    """`missing`: without a body, an empty object."""
    text = await small_body(request)
    if missing and not text:
        return {}
    body = json_value(text, "the body")
    if not isinstance(body, dict):
        raise HubError(400, f"the body is a JSON {type(body).__name__}, not an object")
    return body


def json_value(text: bytes, what: str) -> Any:
    """Every text in it can be written as UTF-8 again: what is kept must not break later replies."""
    try:
        value = json.loads(text.decode())
        if b"\\u" in text:  # the only way to half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise HubError(400, f"{what} has a text that is not UTF-8: {error}") from error
    except ValueError as error:
        raise HubError(400, f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise HubError(400, f"{what} is nested too deep.") from error
    return value


def field(body: Any, name: str, sort: type[T]) -> T:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, sort) or (sort is int and isinstance(value, bool)):
        raise HubError(400, f"the field {name!r} must be a {sort.__name__}, not {value!r:.80}")
    return value


def optional(body: dict[str, Any], name: str, sort: type[T]) -> T | None:
    return None if body.get(name) is None else field(body, name, sort)


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def is_number(text: str) -> bool:
    """Short enough for whatever reckons with it."""
    return re.fullmatch(r"[0-9]{1,18}", text) is not None


def number(request: Request, name: str) -> int:
    """Of the query; 0 where it is not there."""
    asked = request.query_params.get(name, "0")
    if not is_number(asked):
        raise HubError(400, f"{name}={asked:.40}: that is no number that anything here has.")
    return int(asked)


def number_in_path(request: Request) -> int:
    given = request.path_params["number"]
    if not is_number(given):
        raise HubError(404, f"there is no number {given:.40}.")
    return int(given)


def limit(request: Request, most: int) -> int:
    return min(number(request, "limit") or most, most)


def page_of(request: Request, items: list[Any], **next_page: str) -> JSONResponse:
    """`next_page` holds what the query of the following page says; none on the last page."""
    headers = {}
    if next_page:
        url = request.url.include_query_params(**next_page)
        headers["Link"] = f'<{url}>; rel="next"'
    return JSONResponse(items, headers=headers)


def refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HubError)
    # A header takes neither line ends nor what else a request may have put into the message.
    told = "".join(letter if letter.isprintable() else " " for letter in error.message)
    headers = {"X-Error-Message": " ".join(told.split()).encode("ascii", "replace").decode()}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    if error.commit is not None:
        headers["X-Repo-Commit"] = error.commit
    if error.status == 401:
        # The client tells a bad token from a missing repository by exactly these words.
        headers["X-Error-Message"] = "Invalid credentials in Authorization header"
    return JSONResponse({"error": error.message}, error.status, headers)


def full_disk(request: Request, error: Exception) -> JSONResponse:
    """A full disk, a used-up quota, a size limit: what was begun is cleared away by then."""
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise error
    message = (
        f"localhub's disk takes no more ({error.strerror}). Nothing of this was kept. "
        "Make room where its folder lies, then try again."
    )
    return refusal(request, HubError(507, message))


def unknown(request: Request, error: Exception) -> JSONResponse:
    """No route: an id without an owner, or a part of the Hub that is not spoken here."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if _NO_OWNER.fullmatch(path):
        return refusal(request, repository_missing(f"{unquote(path)} (ids are OWNER/NAME)"))
    return refusal(request, HubError(404, f"localhub does not speak {request.method} {path} yet."))
