"""Whose token publishes.

in   the token that writes
out  the user's name, and where it may create a repository
     https://huggingface.co/docs/hub/organizations-security
"""

from pydantic import BaseModel, ConfigDict

from tasks.core.hub import retrying, writing


class User(BaseModel):
    """Whose token publishes, and whether and where it may create a repository."""

    model_config = ConfigDict(frozen=True)

    name: str
    writes: bool
    owners: frozenset[str]


def whoami() -> User:
    """Asked as rarely as can be: the Hub counts this call more strictly than others."""
    me = retrying("the token", lambda: writing().whoami())
    role = me.get("auth", {}).get("accessToken", {}).get("role", "write")
    orgs = {org["name"] for org in me.get("orgs", ()) if org.get("roleInOrg") != "read"}
    return User(name=me["name"], writes=role != "read", owners=frozenset({me["name"], *orgs}))
