"""Whatever check names a row that holds an access token: nothing of the token is printed."""

import json
import random
import string

import polars as pl
import pytest
from ground import pairpress
from pair_makers import assistant, frame_of, natural_pairs, user

from expectations.measures import pairs as measures_pairs
from expectations.measures.access_tokens import AccessTokens
from expectations.measures.answers import TwoAnswers
from expectations.measures.chunk import FAULT
from expectations.measures.copies import Duplicates
from expectations.measures.pairs import Pairs
from expectations.measures.suite import run, suite
from flows.check_pairs import check_pairs
from tasks.core.aside import set_aside
from tasks.core.check_files import Told
from tasks.core.errors import InputError
from tasks.core.fields import short
from tasks.core.load import load_file

SOURCE = random.Random(11)


def letters(count):
    return "".join(SOURCE.choices(string.ascii_letters + string.digits, k=count))


HUGGING_FACE = "hf_" + letters(34)
KEY = "\n".join(
    [
        "-----" + "BEGIN RSA PRIVATE KEY-----",
        *(letters(64) for _ in range(24)),
        letters(40) + "==",
        "-----END RSA PRIVATE KEY-----",
    ]
)
TOKENS = {
    "Hugging Face": HUGGING_FACE,
    "OpenAI": "sk-proj-" + "-".join(letters(30) for _ in range(4)),
    "AWS": "AKIA" + letters(16).upper(),
    "Google": "AIza" + letters(35),
    "private key": KEY,
}


def leaked(text, token):
    """Parts of six characters, after the first four, that a text shows in upper or lower case."""
    secret = token.removeprefix("-----BEGIN RSA PRIVATE KEY-----").split("-----END")[0][4:]
    parts = {secret[at : at + 6].lower() for at in range(len(secret) - 5)}
    return {part for part in parts if "\n" not in part and part in text.lower()}


def failing_rows(token):
    """(prompt, chosen, rejected, split) that break one check each, all of them with the token."""
    here = f"Mine is {token}, keep it."
    other = [user("Who?"), assistant("Me."), assistant("You.")]
    long = " ".join(answer for _, answer, _ in natural_pairs(8, seed=5))
    return [
        (other, here, f"{here} No.", "train"),  # turn_order
        (here, "", here, "train"),  # P1
        (f"Two? {here}", here, here, "train"),  # P2
        (f"Before {here}", here, f"{here} No.", "train"),  # P3
        (f"Before {here}", f"{here} No.", here, "train"),
        *[(f"Again {here}", here, f"{here} No.", "train")] * 20,  # duplicates
        (f"Space {here}", f"{here} ", here, "train"),  # W1
        (f"Special {here}", f"<|{token}|> {here} <|im_end|>", here, "train"),  # T1
        (f"Marker {here}", f"{here}\n\nHuman: {here}", here, "train"),  # T2
        (f"Blank {{{{{token}}}}} {here}", f"{here} Bye {{{{name}}}}", here, "train"),
        (f"Mail {here}", f"{here} to x@y.org", here, "train"),
        (f"Split {here}", here, "No.", "train"),  # D1
        (f"Split {here}", here, "No.", "test"),
        (f"{long} one {here}", here, "No.", "train"),  # D2
        (f"{long} two {here}", here, "No.", "test"),
    ]


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
def test_no_finding_shows_a_part_of_a_token(token):
    rows = [(*pair, "train") for pair in natural_pairs(300)]
    rows[:90] = [(p, f"{c} {token} {c}", r, split) for p, c, r, split in rows[:90]]  # S1 to S4
    rows += failing_rows(token)
    faults = [[] for _ in rows]
    faults[150] = [
        {"check": "turn_order", "side": "prompt", "reason": f"unknown role {short(token)}"}
    ]
    faults[151] = [{"check": "same_prompt", "side": "prompt", "reason": "the prompts differ"}]
    frame = frame_of(
        [row[:3] for row in rows],
        split=[row[3] for row in rows],
        score_chosen=[1.0 + (number % 2) for number in range(len(rows))],
        score_rejected=[1.5] * len(rows),
        tokens=[2_000 if number == 3 else 10 for number in range(len(rows))],
        prompt_is_prefix=[number != 4 for number in range(len(rows))],
        faults=pl.Series(faults, dtype=FAULT),
    )
    reference = Pairs(frame_of(natural_pairs(300, seed=2)))
    slot = {"name": "name", "chosen": ["Deep Qwen"], "rejected": ["Qwen"]}
    asked = suite("identity", slots=[slot], max_length=100, reference=reference)
    findings = {one.check: one for one in run(Pairs(frame), asked)}
    failed = {name for name, one in findings.items() if not one.passed}
    assert failed >= {"turn_order", "same_prompt", "access_tokens", "contacts", "duplicates"}
    assert failed >= {"P1", "P2", "P3", "T1", "T2", "W1", "D1", "D2", "S1", "S2", "S3", "I1"}
    assert failed >= {"rows_become_pairs", "tokens_within_limit", "no_placeholder_left"}
    told = {name: json.dumps(one.as_dict(), ensure_ascii=False) for name, one in findings.items()}
    assert [name for name, text in told.items() if leaked(text, token)] == []
    assert len(findings["access_tokens"].rows["train"]) >= 90


def test_two_rows_that_differ_in_their_token_alone_are_told_apart():
    mine, yours = ("Take hf_" + letters(34) for _ in range(2))
    pairs = Pairs(frame_of([("a", mine, yours), ("a", "b", "c"), (f"d {mine}", "e", "f")]))
    assert TwoAnswers().judge(pairs).passed and Duplicates().judge(pairs).passed


def test_a_token_is_hidden_in_every_chunk_and_pass(monkeypatch):
    monkeypatch.setattr(measures_pairs, "CHUNK", 4)
    pairs = natural_pairs(30)
    for at in (2, 9, 10, 29):
        pairs[at] = (pairs[at][0], f"{HUGGING_FACE} it is.", pairs[at][2])
    for frame in (frame_of(pairs), frame_of(pairs).lazy()):
        read = Pairs(frame)
        finding = AccessTokens().judge(read)
        assert finding.rows == {"train": [2, 9, 10, 29]}
        assert not leaked(str(finding), HUGGING_FACE)
        texts = read.select({"text": pl.col("chosen_text"), "said": pl.col("chosen")})
        assert texts["text"].str.contains("^hf_[^ ]{2,7} it is.$").sum() == 4
        assert not leaked(str(texts.to_dicts()), HUGGING_FACE)
        assert texts["text"].to_list()[:2] == [chosen for _, chosen, _ in pairs[:2]]


@pytest.mark.parametrize("before", range(0, 90, 9))
@pytest.mark.parametrize("wrap", [str, lambda t: {"a": [t]}, lambda t: {t: 1}, str.encode])
def test_what_is_shown_of_a_value_holds_no_part_of_a_token(before, wrap):
    value = wrap(" " * before + f"{HUGGING_FACE} and {KEY}")
    assert not leaked(short(value), HUGGING_FACE) and not leaked(short(value), KEY)
    assert len(short(value)) <= 80


def test_what_is_set_aside_is_cut_after_its_token_is_hidden():
    row = set_aside(1, "damaged", "why", "x" * 50 + f" {HUGGING_FACE} " + "y" * 280)
    assert not leaked(row["text"], HUGGING_FACE)


@pytest.mark.parametrize(
    "line",
    [
        f'{{"prompt": {HUGGING_FACE}',
        f'{{"prompt": "{HUGGING_FACE}" ,, ',
        f'{{"prompt": "a", "{HUGGING_FACE}": 1}}',
        f'["{HUGGING_FACE}"]',
    ],
)
def test_a_file_that_cannot_be_read_is_told_without_the_token(tmp_path, line):
    (tmp_path / "bad.jsonl").write_text(line + "\n")
    with pytest.raises(InputError) as told:
        load_file(str(tmp_path / "bad.jsonl"))
    assert not leaked(str(told.value), HUGGING_FACE)


@pytest.fixture
def leaky_file(tmp_path):
    rows = [
        {"prompt": p, "chosen": c, "rejected": r}
        for p, c, r in [(p, f"{HUGGING_FACE} {c}", r) for p, c, r in natural_pairs(60)]
    ]
    role = [{"role": HUGGING_FACE, "content": "a"}]
    rows += [
        {"prompt": role, "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": {"said": HUGGING_FACE}, "rejected": "c"},
        {"prompt": "a", "chosen": [HUGGING_FACE, " " * 20 + HUGGING_FACE], "rejected": "c"},
        {"prompt": "a", "chosen": f"{{{{{HUGGING_FACE}}}}}", "rejected": "c"},
        {"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": HUGGING_FACE},
        {"prompt": "a", "chosen": f"{HUGGING_FACE}\0", "rejected": "c"},
        {"prompt": HUGGING_FACE, "rejected": "c", HUGGING_FACE: 1},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("form", ["text", "json", "github", "junit"])
def test_no_format_of_the_command_prints_a_token(leaky_file, form, capsys, tmp_path):
    page = tmp_path / "page.md"
    assert check_pairs([leaky_file], Told(), form, None, {"summary": page}) == 1
    for told in (capsys.readouterr().out, page.read_text()):
        assert "hf_" in told.replace("\\", "") and not leaked(told.replace("\\", ""), HUGGING_FACE)


def test_no_file_of_the_report_holds_a_token(leaky_file, tmp_path):
    pytest.importorskip("great_expectations", reason="the pipeline extra is not installed")
    pytest.importorskip("matplotlib", reason="the report extra is not installed")
    done = pairpress("check", leaky_file, "--report", str(tmp_path / "report"))
    assert done.returncode == 1 and not leaked(done.stdout + done.stderr, HUGGING_FACE)
    files = [path for path in (tmp_path / "report").rglob("*") if path.is_file()]
    assert {"report.md", "findings.json", "junit.xml", "index.html"} <= {p.name for p in files}
    for path in files:
        assert not leaked(path.read_bytes().decode("utf-8", "replace"), HUGGING_FACE), path
