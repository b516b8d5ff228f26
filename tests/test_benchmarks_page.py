"""docs/benchmarks.md is what run_all.py makes of benchmarks/results, and no work by hand."""

import json

import run_all


def test_the_page_is_written_from_the_results() -> None:
    found = run_all.results()
    assert found
    assert run_all.PAGE.read_text("utf-8") == run_all.page(found)
    assert run_all.CHART.is_file()


def test_every_goal_that_was_missed_says_why() -> None:
    missed = [
        (name, goal["what"])
        for name, one in run_all.results().items()
        for goal in one["goals"]
        if not goal["met"] and not goal["why"]
    ]
    assert missed == []


def test_every_result_names_its_command_machine_and_day() -> None:
    for path in run_all.RESULTS.iterdir():
        one = json.loads(path.read_text("utf-8"))
        assert path.stem in run_all.BENCHMARKS
        assert one["command"].startswith("OMP_NUM_THREADS=1 python benchmarks/")
        assert one["machine"] and one["versions"]["torch"] and one["day"]
