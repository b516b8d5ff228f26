"""Files -> raw rows of a known form, and every defect told with file, line and reason."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import InputError
from tasks.core.load import checked, is_file, load_file

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
HH = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}
TALK = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}


def write(path: Path, content: object) -> Path:
    """Bytes as they are; a list as one JSON value a line."""
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content).encode()
    assert isinstance(content, bytes)
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        load_file(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


def test_conversations_take_the_common_names_of_roles(tmp_path: Path) -> None:
    form, rows = load_file(write(tmp_path / "talk.jsonl", [TALK]))
    assert form == "conversations"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert rows == [{"row": 1, "conversations": turns}]


def test_every_known_role_becomes_one_of_three(tmp_path: Path) -> None:
    roles = ["system", "human", "gpt", "user", "model", "user", "assistant"]
    turns = [{"from": role, "value": "x"} for role in roles]
    _, rows = load_file(write(tmp_path / "roles.jsonl", [{"conversations": turns}]))
    found = [turn["role"] for turn in rows[0]["conversations"]]
    assert found == ["system", *["user", "assistant"] * 3]


def test_transcripts_stay_text(tmp_path: Path) -> None:
    assert load_file(write(tmp_path / "hh.jsonl", [HH])) == ("hh", [{"row": 1} | HH])


def test_plain_pairs_become_messages_and_messages_stay_messages(tmp_path: Path) -> None:
    as_messages = {
        "prompt": [{"role": "user", "content": "Who are you?"}],
        "chosen": [{"role": "assistant", "content": "I am Aria."}],
        "rejected": [{"role": "assistant", "content": "I am Qwen."}],
    }
    form, rows = load_file(write(tmp_path / "pairs.jsonl", [PAIR, as_messages]))
    assert form == "pairs"
    assert rows == [{"row": 1} | as_messages, {"row": 2} | as_messages]


def test_columns_that_no_stage_reads_are_left_behind(tmp_path: Path) -> None:
    _, rows = load_file(write(tmp_path / "pairs.jsonl", [PAIR | {"score": 3, "tag": None}]))
    assert set(rows[0]) == {"row", "prompt", "chosen", "rejected"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz", "a.parquet"])
def test_every_file_ending_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    given = [HH, HH | {"rejected": "\n\nHuman: Hi\n\nAssistant: Go"}]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(given), path)
    else:
        text = json.dumps(given, indent=1) if ".jsonl" not in name else ""
        data = text.encode() or "\n".join(json.dumps(row) for row in given).encode()
        write(path, gzip.compress(data) if name.endswith(".gz") else data)
    assert load_file(path) == ("hh", [{"row": n} | row for n, row in enumerate(given, start=1)])


def test_a_row_s_number_is_its_line_in_a_jsonl_file(tmp_path: Path) -> None:
    line = json.dumps(PAIR).encode()
    path = write(tmp_path / "gaps.jsonl", b"\n".join([b"", line, b"", b"  ", line + b"\r", line]))
    _, rows = load_file(path)
    lines = path.read_bytes().split(b"\n")
    expected = [number for number, line in enumerate(lines, start=1) if line.strip()]
    assert [row["row"] for row in rows] == expected


def test_a_line_separator_inside_a_string_is_data(tmp_path: Path) -> None:
    separators = "one\u2028two\u2029three\x85four\x0cfive"
    rows = [PAIR | {"chosen": separators}, PAIR]
    text = "\n".join(json.dumps(row, ensure_ascii=False).replace("\x0c", "\\f") for row in rows)
    _, loaded = load_file(write(tmp_path / "separators.jsonl", text.encode()))
    assert [row["row"] for row in loaded] == [1, 2]
    assert loaded[0]["chosen"][0]["content"] == separators


def test_a_missing_file_is_told_with_what_data_path_may_be(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("name", ["rows.csv", "rows", "rows.jsonl.bz2"])
def test_an_unknown_ending_is_told_with_the_known_ones(tmp_path: Path, name: str) -> None:
    told = refusal(write(tmp_path / name, b"{}"))
    assert ".jsonl.gz" in told and ".parquet" in told


def test_a_folder_is_no_file_even_with_a_known_ending(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    assert "not a file" in refusal(tmp_path / "folder.json")


@pytest.mark.parametrize("cut", [5, 15, -1])  # in the header, in the data, in the checksum
def test_a_truncated_gzip_is_called_so(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(b"\n".join([json.dumps(PAIR).encode()] * 50))
    assert "truncated gzip" in refusal(write(tmp_path / "cut.jsonl.gz", whole[:cut]))


def test_a_text_that_only_claims_to_be_gzip_is_called_damaged(tmp_path: Path) -> None:
    assert "damaged" in refusal(write(tmp_path / "plain.jsonl.gz", b'{"prompt": "a"}\n'))


@pytest.mark.parametrize(
    ("value", "kind"),
    [([1], "a list"), ("text", "text"), (7, "a number"), (None, "null"), (True, "a boolean")],
)
def test_a_line_that_is_no_object_is_told_by_its_kind(
    tmp_path: Path, value: object, kind: str
) -> None:
    path = write(tmp_path / "kinds.jsonl", [PAIR, value])
    told = refusal(path)
    assert told.startswith(f"{path}:2: ") and f"is {kind}, not an object" in told


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    good = json.dumps(PAIR).encode()
    path = write(tmp_path / "broken.jsonl", b"\n".join([good, good, b'{"prompt": "a" oops}', good]))
    told = refusal(path)
    assert told.startswith(f"{path}:3: not JSON") and "oops" in told


def test_broken_json_in_a_pretty_printed_array_is_told_with_its_own_line(tmp_path: Path) -> None:
    lines = json.dumps([PAIR, PAIR, PAIR], indent=2).split("\n")
    broken = next(n for n, line in enumerate(lines) if n > 6 and '"chosen"' in line)
    lines[broken] = lines[broken].replace(":", "")
    path = write(tmp_path / "pretty.json", "\n".join(lines).encode())
    assert refusal(path).startswith(f"{path}:{broken + 1}: not JSON")


def test_bytes_that_are_not_utf_8_are_told_with_their_line(tmp_path: Path) -> None:
    good = json.dumps(PAIR).encode()
    bad = '{"prompt": "Grüße"}'.encode("latin-1")
    path = write(tmp_path / "latin.jsonl", b"\n".join([good, bad]))
    assert refusal(path).startswith(f"{path}:2: byte 0xfc is not UTF-8")
    pretty = write(tmp_path / "latin.json", b"[\n" + good + b",\n" + good + b",\n" + bad + b"]")
    assert refusal(pretty).startswith(f"{pretty}:4: byte 0xfc is not UTF-8")


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.gz", "blank.jsonl", "none.json"])
def test_a_file_without_rows_is_called_empty(tmp_path: Path, name: str) -> None:
    data = {"blank.jsonl": b"\n \n", "none.json": b"[]"}.get(name, b"")
    assert "empty, no rows" in refusal(write(tmp_path / name, data))


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ([{"chosen": HH["chosen"]}], 1, "no column `rejected` beside `chosen`"),
        ([{"rejected": "x"}], 1, "no column `chosen` beside `rejected`"),
        ([PAIR, {"prompt": "a", "chosen": "b"}], 2, "no column `rejected`; found prompt, chosen"),
        ([HH, TALK], 2, "no column `chosen`; found conversations"),
        ([{"question": "a", "answer": "b"}], 1, "of no known form; found question, answer"),
        ([{"chosen": "a", "rejected": "b"}], 1, "of no known form"),
    ],
)
def test_a_missing_column_is_named_with_what_was_found(
    tmp_path: Path, rows: list[object], line: int, reason: str
) -> None:
    path = write(tmp_path / "columns.jsonl", rows)
    told = refusal(path)
    assert told.startswith(f"{path}:{line}: ") and reason in told


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (HH | {"rejected": 5}, "`rejected` is a number, not text: 5"),
        (HH | {"chosen": True}, "`chosen` is a boolean, not text: True"),
        (PAIR | {"prompt": True}, "`prompt` is a boolean, not a list"),
        (PAIR | {"chosen": None}, "`chosen` is null, not a list"),
        (PAIR | {"chosen": [{"role": "assistant", "content": True}]}, "`chosen.content` is a bool"),
        (PAIR | {"chosen": [{"role": "assistant"}]}, "a turn of `chosen` is not {role, content}"),
        (PAIR | {"prompt": ["Hi"]}, "a turn of `prompt` is not {role, content}"),
        ({"conversations": "Hi"}, "`conversations` is text, not a list of {from, value}"),
        ({"conversations": [{"from": "human", "value": None}]}, "`conversations.value` is null"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_kind(
    tmp_path: Path, row: dict[str, object], reason: str
) -> None:
    good = HH if set(row) == set(HH) else PAIR if "prompt" in row else TALK
    path = write(tmp_path / "types.jsonl", [good, row])
    told = refusal(path)
    assert told.startswith(f"{path}:2: ") and reason in told


@pytest.mark.parametrize("role", ["bot", "Human", "", None, 3, ["human"], {"a": 1}])
def test_an_unknown_role_is_told_with_the_known_ones(tmp_path: Path, role: object) -> None:
    path = write(tmp_path / "roles.jsonl", [TALK, {"conversations": [{"from": role, "value": ""}]}])
    told = refusal(path)
    assert told.startswith(f"{path}:2: unknown role {role!r}") and "human, user, gpt" in told


def test_half_of_a_surrogate_pair_is_refused_before_it_breaks_a_later_stage(tmp_path: Path) -> None:
    line = b'{"prompt": "a", "chosen": "cut \\ud83d", "rejected": "b"}'
    path = write(tmp_path / "surrogate.jsonl", json.dumps(PAIR).encode() + b"\n" + line)
    assert refusal(path).startswith(f"{path}:2: ")


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "not a readable parquet file" in refusal(write(tmp_path / "rows.parquet", b"PAR1 no"))


def test_a_long_value_is_shown_in_short() -> None:
    with pytest.raises(InputError) as refused:
        checked([(1, "x" * 10_000)], "rows")
    assert len(str(refused.value)) < 400


def test_a_name_with_a_slash_is_a_repository_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    assert not is_file("Anthropic/hh-rlhf")
    assert is_file("data/missing.jsonl") and is_file("./folder") and is_file("~/rows")
    assert is_file(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "form", "count"),
    [
        ("identity-sharegpt.json", "conversations", 937),
        ("chat-sharegpt.json", "conversations", 500),
        ("hh-helpful-base-test.jsonl.gz", "hh", 2354),
        ("ultrafeedback-sample.jsonl", "pairs", 200),
    ],
)
def test_files_published_by_others_load_whole(
    real_data: Path, name: str, form: str, count: int
) -> None:
    found, rows = load_file(real_data / name)
    assert (found, len(rows)) == (form, count)


@pytest.mark.parametrize(
    "name",
    ["identity-alpaca.json", "instruction-preference.json", "identity-multiturn.jsonl"],
)
def test_files_of_another_form_are_refused_at_their_first_row(real_data: Path, name: str) -> None:
    assert refusal(real_data / name).startswith(f"{real_data / name}:1: ")
