"""A folder -> the ASGI application that speaks the Hub's protocol for it.

in   a store's folder
out  an application for any ASGI server    https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from localhub.access import Gate
from localhub.discussions import Discussions
from localhub.downloads import Downloads
from localhub.errors import HubError
from localhub.listings import Listings
from localhub.pages import Pages
from localhub.refs import Refs
from localhub.repositories import Repositories
from localhub.store import Store
from localhub.uploads import Uploads
from localhub.wire import RawPath, full_disk, refusal, unknown


def localhub_app(root: Path, faults: bool = False) -> ASGIApp:
    store = Store(root)
    gate = Gate(store, root)
    parts = (
        Repositories(store, gate),
        Refs(store, gate),
        Discussions(store, gate),
        Listings(store, gate),
        Downloads(store, gate),
        Uploads(store, gate),
        Pages(store, gate),
    )
    app = Starlette(
        routes=[route for part in parts for route in part.routes()],
        exception_handlers={
            HubError: refusal,
            HTTPException: unknown,
            OSError: full_disk,
            ClientDisconnect: _nobody_there,
        },
    )
    app.router.redirect_slashes = False
    if faults:  # a test's switch: its module is imported for nobody else
        from localhub.faults import Faults

        return Faults(RawPath(app), gate)
    return RawPath(app)


def _nobody_there(request: Request, error: Exception) -> Response:
    """The client went away in the middle of an upload: nothing was kept, nobody reads this."""
    return Response(status_code=400)
