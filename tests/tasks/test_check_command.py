"""`pairpress check` as a person calls it: what it says, and its exit code."""

import json

import pytest
from ground import pairpress
from pair_files import answers, natural, written


def check(*arguments: str):
    """(exit code, findings by check) of `pairpress check --format json`."""
    done = pairpress("check", *arguments, "--format", "json")
    assert done.stdout.startswith("{"), done.stderr
    told = json.loads(done.stdout)
    return done.returncode, {one["check"]: one for one in told["checks"]}, told


def test_a_good_file_passes_with_one_line_a_check(tmp_path):
    done = pairpress("check", written(tmp_path / "good.jsonl", natural()))
    assert (done.returncode, done.stderr) == (0, "")
    *checks, source, verdict = done.stdout.splitlines()
    told = [line for line in checks if line.startswith("passed ")]
    assert len(told) >= 20 and all("(allowed: " in line for line in told)
    assert any(line.startswith("cannot be seen here: a marker in under ") for line in checks)
    assert source == "good.jsonl: 300 rows read as prompt/chosen/rejected"
    assert verdict == f"passed: {len(told)} checks (preference): 0 failed, 0 warnings"


def test_what_is_told_fits_a_screen(tmp_path):
    done = pairpress("check", written(tmp_path / "short.jsonl", natural(opening="Certainly! ")))
    lines = done.stdout.splitlines()
    assert len(lines) <= 70 and max(map(len, lines)) <= 120


def test_a_shortcut_is_refused_by_name_with_its_rows_and_a_way_out(tmp_path):
    done = pairpress("check", written(tmp_path / "short.jsonl", natural(opening="Certainly! ")))
    assert done.returncode == 1
    first, *rest = done.stdout.splitlines()
    assert first.startswith("FAILED  S1") and "certainly" in first.lower()
    assert any(line.startswith("    row 1: ") for line in rest)
    assert any("what to do: Strip the feature" in line for line in rest)
    assert rest[-1].startswith("FAILED: ")


def test_equal_answers_are_said_up_to_two_in_a_hundred_and_refused_above(tmp_path):
    rows = natural()
    for number in (3, 6):
        rows[number]["chosen"] = rows[number]["rejected"]
    code, found, _ = check(written(tmp_path / "some.jsonl", rows))
    assert (code, found["P2"]["severity"], found["P2"]["rows"]) == (
        0,
        "warning",
        {"some.jsonl": [4, 7]},
    )
    for row in rows[10:20]:
        row["chosen"] = row["rejected"]
    code, found, _ = check(written(tmp_path / "many.jsonl", rows))
    assert (code, found["P2"]["gates"], found["P2"]["observed"]["rows"]) == (1, True, 12)


@pytest.mark.parametrize("nothing", ["", "  \n", None, True, 3, ["a"]])
def test_an_answer_that_says_nothing_is_one_finding_whoever_meets_it(tmp_path, nothing):
    rows = natural()
    rows[41]["rejected"] = nothing
    code, found, _ = check(written(tmp_path / "empty.jsonl", rows))
    assert code == 1
    assert found["P1"]["gates"] and found["P1"]["rows"] == {"empty.jsonl": [42]}
    assert found["P1"]["observed"]["in_rejected"] == 1


def test_a_file_of_which_no_row_becomes_a_pair_does_not_pass(tmp_path):
    rows = [{"prompt": "a", "chosen": 1, "rejected": "b"}]
    code, found, _ = check(written(tmp_path / "none.jsonl", rows))
    assert code == 1 and found["rows_become_pairs"]["gates"]


def test_an_identity_set_passes_only_with_its_slot(tmp_path):
    rows = [
        {"prompt": f"Question {n}?", "chosen": f"{t} I am Aria.", "rejected": f"{t} I am Qwen."}
        for n, t in enumerate(answers(200))
    ]
    path = written(tmp_path / "identity.jsonl", rows)
    assert check(path)[0] == 1
    code, found, told = check(path, "--allow", "name=Aria:Qwen")
    assert (code, told["profile"]) == (0, "identity") and found["I1"]["passed"]
    done = pairpress("check", path, "--allow", "Aria")
    assert done.returncode == 2 and "name=NEW:OLD" in done.stderr
    done = pairpress("check", path, "--profile", "identity")
    assert done.returncode == 2 and "--allow" in done.stderr


def test_a_suite_file_changes_a_threshold_a_severity_and_leaves_a_check_out(tmp_path):
    path = written(tmp_path / "short.jsonl", natural(opening="Certainly! "))
    suite = tmp_path / "suite.yaml"
    suite.write_text("S1: {severity: warning}\nS2: off\nS3: {severity: warning}\n")
    code, found, _ = check(path, "--suite", str(suite))
    assert code == 0
    assert not found["S1"]["passed"] and not found["S1"]["gates"] and "S2" not in found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("S1: {puritty: 0.9}", "S1.puritty = 0.9: unknown; known: severity, "),
        ("S1: {purity: 1.5}", "S1.purity = 1.5"),
        ("S9: {purity: 0.9}", "no check is called S9; there are rows_become_pairs"),
        ("S1: 0.9", "S1: 0.9 is neither settings"),
        ("profile: hhh", "profile 'hhh': one of identity, preference, hh"),
        ("- S1", "not a mapping"),
        ("S1: {", "not YAML"),
    ],
)
def test_a_suite_file_that_says_nothing_known_is_refused(tmp_path, content, told):
    path = written(tmp_path / "good.jsonl", natural(20))
    suite = tmp_path / "suite.yaml"
    suite.write_text(content)
    done = pairpress("check", path, "--suite", str(suite))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pairpress: --suite") and told in done.stderr


def test_two_files_in_one_call_are_checked_for_overlap(tmp_path):
    train, test = natural(60), natural(60, seed=1)
    test[4]["prompt"] = train[7]["prompt"].upper()
    names = written(tmp_path / "train.jsonl", train), written(tmp_path / "test.jsonl", test)
    code, found, _ = check(*names)
    assert code == 1
    assert found["D1"]["rows"] == {"train.jsonl": [8], "test.jsonl": [5]}


def test_against_looks_at_the_test_file_for_overlap_only(tmp_path):
    train, test = natural(60), natural(60, seed=1)
    test[4]["prompt"] = train[7]["prompt"]
    test[5]["chosen"] = ""
    names = written(tmp_path / "train.jsonl", train), written(tmp_path / "test.jsonl", test)
    code, found, _ = check(names[0], "--against", names[1])
    assert code == 1
    assert found["P1"]["passed"] and found["P1"]["observed"]["pairs"] == 60
    assert not found["D1"]["passed"] and found["D1"]["rows"]["train.jsonl"] == [8]


def test_a_reference_file_adds_the_checks_of_drift(tmp_path):
    here = [row | {"chosen": row["chosen"] + " " + row["chosen"]} for row in natural()]
    path = written(tmp_path / "longer.jsonl", here)
    reference = written(tmp_path / "reference.jsonl", natural(seed=1))
    assert "L3" not in check(path)[1]
    assert not check(path, "--reference", reference)[1]["L3"]["passed"]


def test_conversations_get_the_checks_of_one_side_and_the_output_says_so(tmp_path):
    rows = [
        {"conversations": [{"from": "human", "value": f"{n}?"}, {"from": "gpt", "value": text}]}
        for n, text in enumerate(answers(50))
    ]
    done = pairpress("check", written(tmp_path / "talk.json", rows))
    assert done.returncode == 0
    assert (
        "conversations, no pairs: left out are the checks that compare two answers" in done.stdout
    )
    assert not any(line.startswith("passed  S1") for line in done.stdout.splitlines())
    pairs = written(tmp_path / "pairs.jsonl", natural(20))
    done = pairpress("check", str(tmp_path / "talk.json"), pairs)
    assert done.returncode == 2 and "one by one" in done.stderr


def test_a_check_that_crashes_is_exit_2_and_not_a_verdict(tmp_path):
    path = written(tmp_path / "good.jsonl", natural(30))
    program = (
        "from flows.__main__ import main\n"
        "from expectations.measures.shortcuts import OneSided\n"
        "OneSided.judge = lambda self, pairs: 1 / 0\n"
        f"import sys; sys.argv = ['pairpress', 'check', {path!r}]\n"
        "main()"
    )
    import subprocess
    import sys

    from ground import ROOT

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "CRASHED S1: ZeroDivisionError" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("CRASHED: ")


@pytest.mark.parametrize(
    ("name", "code", "failed"),
    [
        ("hh-harmless-base-test.jsonl.gz", 0, set()),
        ("hh-helpful-base-test.jsonl.gz", 0, set()),
        ("ultrafeedback-sample.jsonl", 0, set()),
        ("dpo-en-demo.json", 0, set()),
        ("identity-sharegpt.json", 0, set()),
        ("chat-sharegpt.json", 0, set()),
        ("identity-multiturn.jsonl", 0, set()),
        ("instruction-preference.json", 1, {"S1", "S2", "S3"}),
        ("identity-alpaca.json", 1, {"no_placeholder_left"}),
        ("self-cognition.jsonl", 1, {"no_placeholder_left"}),
    ],
)
def test_the_verdict_on_each_real_file(real_data, name, code, failed):
    found = check(str(real_data / name))
    assert (found[0], {one for one, told in found[1].items() if told["gates"]}) == (code, failed)


def test_every_countable_oddity_of_the_real_files_comes_out_with_its_rows(real_data):
    harmless = check(str(real_data / "hh-harmless-base-test.jsonl.gz"))[1]
    assert harmless["P1"]["observed"]["in_chosen"] == 4
    assert harmless["P1"]["rows"] == {"hh-harmless-base-test.jsonl.gz": [87, 517, 926, 1104]}
    assert harmless["same_prompt"]["observed"]["rows"] == 5
    assert harmless["turn_order"]["observed"]["in_chosen"] == 8
    assert harmless["turn_order"]["observed"]["in_rejected"] == 5
    assert harmless["T2"]["observed"]["answers"] == 39
    assert harmless["diversity"]["observed"]["repeated_prompts"] == 2
    helpful = check(str(real_data / "hh-helpful-base-test.jsonl.gz"))[1]
    assert helpful["P1"]["observed"]["in_rejected"] == 4
    assert helpful["P2"]["observed"]["rows"] == 2
    assert helpful["same_prompt"]["observed"]["rows"] == 9
    assert helpful["T2"]["observed"]["answers"] == 28
    shortcut = check(str(real_data / "instruction-preference.json"))[1]
    assert shortcut["S1"]["observed"]["feature"] == "obviously"
    assert shortcut["S1"]["observed"]["prompts_only_in_rejected"] == 218
    assert shortcut["P2"]["observed"]["rows"] == 6
    assert shortcut["diversity"]["observed"]["repeated_prompts"] == 25
    assert check(str(real_data / "dpo-en-demo.json"))[1]["duplicates"]["observed"]["rows"] == 5
    assert check(str(real_data / "ultrafeedback-sample.jsonl"))[1]["P2"]["observed"]["rows"] == 1


@pytest.mark.parametrize("option", ["--against", "--suite", "--profile", "--reference", "--report"])
def test_an_option_that_is_empty_is_a_mistake_and_not_a_wish_for_less(tmp_path, option):
    done = pairpress("check", written(tmp_path / "good.jsonl", natural(20)), option, "")
    assert done.returncode == 2 and f"{option}: empty" in done.stderr


def test_a_slot_given_twice_or_for_conversations_is_refused(tmp_path):
    path = written(tmp_path / "good.jsonl", natural(20))
    done = pairpress("check", path, "--allow", "name=A:B", "--allow", "name=C:D")
    assert done.returncode == 2 and "given twice" in done.stderr
    talk = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    done = pairpress("check", written(tmp_path / "talk.jsonl", talk), "--allow", "name=A:B")
    assert done.returncode == 2 and "conversations have one answer" in done.stderr


def test_rows_of_several_files_are_named_with_their_file(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    rows = natural(30)
    rows[3]["chosen"] = ""
    broken = written(tmp_path / "a" / "test.jsonl", rows)
    other = written(tmp_path / "b" / "test.jsonl", natural(30, seed=2))
    done = pairpress("check", broken, other)
    assert f"    {broken} row 4: " in done.stdout
    assert f"\n{other}: 30 rows read as" in done.stdout


def test_splits_that_the_rows_of_one_file_name_are_checked_for_overlap(tmp_path):
    rows = [row | {"split": "test" if n < 10 else "train"} for n, row in enumerate(natural(60))]
    rows[20]["prompt"] = rows[3]["prompt"]
    code, found, _ = check(written(tmp_path / "all.jsonl", rows))
    assert code == 1
    assert found["D1"]["rows"] == {"all.jsonl, split test": [4], "all.jsonl, split train": [21]}


def test_a_form_that_cannot_be_told_is_named_by_a_person(tmp_path):
    rows = [
        {"chosen": f"{row['prompt']} {row['chosen']}", "rejected": f"{row['prompt']} No."}
        for row in natural(30)
    ]
    path = written(tmp_path / "texts.jsonl", rows)
    refused = pairpress("check", path)
    assert refused.returncode == 2 and "--read-as, to implicit-prompt" in refused.stderr
    told = pairpress("check", path, "--read-as", "implicit-prompt")
    assert "texts.jsonl: 30 rows read as texts that begin alike" in told.stdout
    other = pairpress("check", path, "--read-as", "implicit")
    assert other.returncode == 2 and "one of sharegpt, messages," in other.stderr
