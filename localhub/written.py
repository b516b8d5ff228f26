"""A template of templates/ and its values -> a page, and the reply that carries it.

in   the name of a template, the values it shows: all escaped, but for what rendered.py made safe
out  an HTML reply that lets a browser load nothing but images of this server and its own style
     https://jinja.palletsprojects.com/en/stable/templates/
     https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
"""

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")


def _sized(size: int) -> str:
    """Three digits are enough for the eye; the pages give the bytes as well."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


@functools.cache
def _environment() -> "Environment":
    # Imported with the first page: a Hub that only machines talk to starts without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = _sized
    environment.filters["when"] = lambda date: date[:16].replace("T", " ")
    environment.filters["part"] = lambda text: quote(text, safe="")
    environment.filters["path"] = quote
    return environment


@functools.cache
def _style() -> str:
    return (_TEMPLATES / "style.css").read_text()


def written(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(style=_style(), **values)


def reply(page: str, status: int = 200) -> HTMLResponse:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",  # the address of a page is nobody else's business
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",  # its links expire
    }
    return HTMLResponse(page, status, headers)
