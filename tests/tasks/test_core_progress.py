"""Long work says how far it has come; short work says nothing."""

from collections.abc import Iterator

import pytest

from tasks.core import progress as module
from tasks.core.progress import listeners, progress

Told = list[tuple[str, int, int | None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Told, list[float]]]:
    """(what a listener hears, the clock: a list of one moment)."""
    heard: Told = []
    clock = [0.0]

    def listen(title: str, done: int, total: int | None) -> None:
        heard.append((title, done, total))

    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    listeners.append(listen)
    yield heard, clock
    listeners.remove(listen)


def test_work_of_less_than_a_second_tells_nobody(
    told: tuple[Told, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("rows", 10, "row") as advance:
        advance(10)
    assert told[0] == []
    assert capsys.readouterr().err.strip() == ""


def test_longer_work_is_told_once_a_second_and_at_its_end(told: tuple[Told, list[float]]) -> None:
    heard, clock = told
    with progress("rows", 40, "row") as advance:
        for _ in range(40):
            clock[0] += 0.25
            advance(1)
    steps = [(title, done) for title, done, _ in heard]
    assert steps == [("rows", done) for done in range(4, 41, 4)] + [("rows", 40)]


def test_what_was_done_is_told_although_the_total_was_not_known(
    told: tuple[Told, list[float]],
) -> None:
    heard, clock = told
    with progress("rows", None, "row") as advance:
        clock[0] = 5.0
        advance(7)
    assert heard == [("rows", 7, None), ("rows", 7, 7)]
