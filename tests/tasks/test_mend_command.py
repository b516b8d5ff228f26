"""`pairpress mend` as a person calls it: what it takes away, what it leaves, and what it says."""

import json

from ground import pairpress
from pair_files import natural, written


def test_mend_applies_each_safe_remedy_and_says_what_it_did(tmp_path):
    rows = natural(12)
    rows[0]["chosen"] = f"  {rows[0]['chosen']}\n"
    rows[1]["rejected"] = rows[1]["chosen"]
    rows[2]["chosen"] = " "
    rows[4] = rows[3] | {"chosen": rows[3]["rejected"], "rejected": rows[3]["chosen"]}
    rows[6] = dict(rows[5])
    test = written(tmp_path / "test.jsonl", [natural(1, seed=5)[0] | {"prompt": rows[7]["prompt"]}])
    source, out = written(tmp_path / "raw.jsonl", rows), tmp_path / "mended.jsonl"
    done = pairpress("mend", source, "--out", str(out), "--against", test)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "stripped outer white space of answers: 2 rows (1, 3)",
        "dropped, an answer or a prompt says nothing: 1 row (3)",
        "dropped, chosen equals rejected: 1 row (2)",
        "dropped, another row prefers the opposite: 2 rows (4, 5)",
        "dropped, the same pair stands in an earlier row: 1 row (7)",
        "dropped, its prompt stands in the test file: 1 row (8)",
        "6 of 12 rows written",
    ]
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    expected = [rows[0] | {"chosen": rows[0]["chosen"].strip()}, rows[5], *rows[8:]]
    assert kept == expected


def test_a_mended_file_is_mended(tmp_path, real_data):
    out = tmp_path / "helpful.jsonl.gz"
    source = str(real_data / "hh-helpful-base-test.jsonl.gz")
    assert pairpress("mend", source, "--out", str(out)).returncode == 0
    told = json.loads(pairpress("check", str(out), "--format", "json").stdout)
    assert "P2" not in {one["check"] for one in told["checks"] if not one["passed"]}
    again = pairpress("mend", str(out), "--out", str(tmp_path / "again.jsonl.gz"))
    assert "stripped outer white space of answers: 0 rows" in again.stdout
    assert out.read_bytes() == (tmp_path / "again.jsonl.gz").read_bytes()


def test_mend_refuses_what_it_cannot_do(tmp_path):
    path = written(tmp_path / "raw.jsonl", natural(3))
    for out, told in ((path, "is the file that is read"), (f"{path}.csv", "of no known kind")):
        done = pairpress("mend", path, "--out", out)
        assert done.returncode == 2 and told in done.stderr
