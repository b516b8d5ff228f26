"""What a leak is told by: names of this machine, words around a secret; and how one is shown."""

from pathlib import Path

import pytest

from tasks.core import local_paths
from tasks.core.known_secrets import assigned_in
from tasks.core.leaving_rows import masked
from tasks.core.local_paths import ROOTS, Here, names_in


def test_this_machine_is_known_by_its_folders_and_everybodys_names_are_none() -> None:
    here = local_paths.this_machine()
    assert str(Path.cwd()) in here.places or Path.cwd().parent == Path("/")
    assert all(place.count("/") > 1 for place in here.places)
    assert here.user != "root" and here.host != "localhost"
    assert "usr" not in here.roots and "home" in here.roots


def test_a_long_line_takes_no_time() -> None:
    here = Here((), ROOTS, "alice", "gpu7")
    for line in (
        "a.b-" * 250_000,
        "/a" * 500_000,
        "C:\\a" * 250_000,
        "x" * 1_000_000,
        "%2F" * 300_000,
    ):
        assert not [one for one in names_in(line, here) if "gpu7" in one.what]


@pytest.mark.parametrize(
    ("contact", "shown"),
    [("a@b.de", "a…@b.de"), (" +1 (212) 555-0142.", "+1 …42"), ("x212-555-0142", "212…42")],
)
def test_a_contact_is_shown_without_what_reaches_a_person(contact: str, shown: str) -> None:
    assert masked(contact) == shown


@pytest.mark.parametrize(
    "line",
    [
        *("https://user:password@host/x", "redis://:${PASSWORD}@host", "ssh://git@host:22/x"),
        *("http://localhost:8000/v1 of me@example.org", "wandb.commit: " + "0a" * 20),
    ],
)
def test_a_sample_of_an_address_is_no_password(line: str) -> None:
    assert list(assigned_in(line)) == []
