"""Nothing of this machine and no access token leaves: each kind is found, and little else is."""

import json
import struct
from pathlib import Path

import polars as pl
import pytest
from chat_templates import LLAMA_2, QWEN

from tasks.core import leaks
from tasks.core.errors import Refused
from tasks.core.leaks import require_clean, scan
from tasks.core.local_paths import ROOTS, Here

TOKEN = "hf_" + "Kq7ZtR2mXvC3LwYb" + "N8dPfGhJ4sAeQ9uTiz"
CONFIGURATION = {
    "architectures": ["Qwen2ForCausalLM"],
    "eos_token_id": [151645, 151643],
    "transformers_version": "5.23.0",
    "revision": "c59e3f24e35aefbcbfeac6efc8a0a58c395a73ee",
    "url": "https://huggingface.co/docs/transformers/home/user-guide",
    "route": "/v1/chat/completions",
}
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TOKENIZER = {
    "added_tokens": [{"id": 5, "content": "<|im_end|>", "special": True}],
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": SPLIT}},
    "model": {
        "type": "BPE",
        "vocab": {"Ġ/": 1, "/home/": 2, "/tmp/x": 3, "C:\\Users\\me": 4},
        "merges": ["/home /bob", "/root /x"],
    },
}
CARD = """---
license: apache-2.0
datasets:
- alice/deep-pairs
---
# alice/deep-qwen

By [alice](/alice), from [pairs](/datasets/alice/deep-pairs), at 24/7 and/or 3/4 km/h; run it with
`#!/usr/bin/env python`, and ask `http://localhost:8000/v1/chat` or ~/bin/ask. A sample: /path/to/x,
/home/user/x. ![curves](training.png)
"""


@pytest.fixture
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine called gpu7, of a person called alice, with a disk /data1."""
    here = Here(("/gpfs/alice/runs", "/home/alice"), ROOTS | {"data1"}, "alice", "gpu7")
    monkeypatch.setattr(leaks, "this_machine", lambda: here)


@pytest.fixture
def release(tmp_path: Path, alice: None) -> Path:
    """Three small parts as a real release has them, with nothing in them that leaks."""
    folder = tmp_path / "release"
    for part in ("dataset/data", "adapter", "model"):
        (folder / part).mkdir(parents=True)
    (folder / "model" / "config.json").write_text(json.dumps(CONFIGURATION, indent=2))
    (folder / "model" / "tokenizer.json").write_text(json.dumps(TOKENIZER, ensure_ascii=False))
    (folder / "model" / "merges.txt").write_text("/home /bob\n")
    (folder / "model" / "chat_template.jinja").write_text(QWEN)
    template = {"chat_template": LLAMA_2, "model_max_length": 2048}
    (folder / "adapter" / "tokenizer_config.json").write_text(json.dumps(template))
    (folder / "dataset" / "README.md").write_text(CARD)
    write_safetensors(folder / "model" / "model.safetensors", {"format": "pt"})
    write_rows(folder, "Where is it?", "It is in /home/bob/notes, near /tmp/x.")
    return folder


def write_safetensors(path: Path, metadata: dict[str, str]) -> None:
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def write_rows(folder: Path, *contents: str, name: str = "train") -> None:
    rows = [
        {"row": 7 + n, "chosen": [{"role": "user", "content": c}]} for n, c in enumerate(contents)
    ]
    pl.DataFrame(rows).write_parquet(folder / "dataset" / "data" / f"{name}.parquet")


def test_a_release_with_addresses_regexes_templates_and_quoted_paths_is_clean(
    release: Path,
) -> None:
    found = scan(release)
    files = [path for path in release.rglob("*") if path.is_file()]
    assert (found.files, found.rows, found.emails, found.phones) == (len(files), 2, 0, 0)
    assert found.sentence.endswith("e-mail addresses: 0, phone numbers: 0.")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"base": "/home/bob/base"}', "the local path /home/bob/base"),
        ('{"base": "\\/Users\\/bob\\/base"}', "the local path /Users/bob/base"),
        ('{"said": "one\\n/mnt/disk/x"}', "the local path /mnt/disk/x"),
        ('{"said": "\\u002fmnt/disk/x"}', "the local path /mnt/disk/x"),
        ('{"cache": "/data1/cache/hub"}', "the local path /data1/cache/hub"),
        ('{"out": "/gpfs/alice/runs/3"}', "the local path /gpfs/alice/runs"),
        ('{"out": "/gpfs/alice/else"}', "alice, a name of this machine, in the path"),
        ('{"log": "/gpfs/jobs/gpu7/x"}', "gpu7, a name of this machine, in the path"),
        ('{"log": "logs/gpu7/x"}', "this machine's name gpu7 in logs/gpu7/x"),
        ('{"url": "http://gpu7:8000/v1"}', "this machine's name gpu7 in http://gpu7:8000/v1"),
        ('{"url": "http://gpu7.lab.example/v1"}', "this machine's name gpu7 in http://gpu7.lab"),
        ('{"url": "file:///home/bob/base"}', "the local path /home/bob/base"),
        ('{"url": "file:%2F%2F%2Fhome%2Fbob%2Fbase"}', "the local path /home/bob/base"),
        ('{"base": "C:\\\\Users\\\\bob\\\\base"}', "the local path C:\\Users\\bob\\base"),
        ('{"home": "/home/alice"}', "the local path /home/alice"),
    ],
)
def test_a_place_on_a_machine_is_refused_with_file_and_line(
    release: Path, line: str, said: str
) -> None:
    (release / "model" / "generation_config.json").write_text(f"\n\n{line}\n")
    with pytest.raises(Refused) as refused:
        scan(release)
    assert str(refused.value).startswith(f"model/generation_config.json:3: names {said}")
    assert "Nothing was published" in str(refused.value)


@pytest.mark.parametrize("name", ["dataset/README.md", "adapter/run.log", "model/notes", "a.html"])
def test_every_text_is_looked_at_whatever_its_name(release: Path, name: str) -> None:
    (release / name).write_text(
        "fine\nfrom <b>&#47;home/bob/x</b>\n" if "html" in name else "fine\nfrom /home/bob/x\n"
    )
    with pytest.raises(Refused, match=rf"^{name}:2: names the local path /home/bob/x"):
        scan(release)


@pytest.mark.parametrize(
    "name", ["dataset/README.md", "model/config.json", "adapter/release.json", "model/x.log"]
)
def test_a_token_is_refused_with_file_and_line_and_never_shown(release: Path, name: str) -> None:
    (release / name).write_text(f'one\n{{"token": "x\\n{TOKEN}"}}\n')
    with pytest.raises(Refused, match=rf"{name}:2: holds Hugging Face Token hf_K…") as refused:
        scan(release)
    assert TOKEN[8:] not in str(refused.value)


def test_a_private_key_of_many_lines_is_found_in_a_text(release: Path) -> None:
    lines = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])
    (release / "adapter" / "run.log").write_text(f"one\ntwo\n{key}\n")
    with pytest.raises(Refused, match=r"^adapter/run\.log:3: holds Private Key ----…"):
        scan(release)


def test_a_token_beside_the_vocabulary_of_a_tokenizer_is_found(release: Path) -> None:
    content = TOKENIZER | {"added_tokens": [{"id": 6, "content": TOKEN}]}
    (release / "model" / "tokenizer.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(Refused, match=r"model/tokenizer\.json:5: holds Hugging Face Token"):
        scan(release)


def test_what_this_process_keeps_secret_is_found_whatever_its_form(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_WRITE_TOKEN", "plain words of a localhub")
    (release / "adapter" / "README.md").write_text("with plain words of a localhub\n")
    with pytest.raises(Refused, match=r"adapter/README\.md:1: holds a secret of this process plai"):
        scan(release)
    (release / "adapter" / "README.md").rename(release / "adapter" / "a.png")
    (release / "adapter" / "a.png").write_bytes(b"\0plain words of a localhub\0")
    with pytest.raises(Refused, match=r"adapter/a\.png: holds a secret of this process plai"):
        scan(release)
    (release / "adapter" / "a.png").unlink()
    write_rows(release, "yes", "plain words of a localhub")
    with pytest.raises(Refused, match=r"data/train\.parquet, row 8: holds a secret of this proces"):
        scan(release)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("postgres://bob:hunter22secret@db.example.org/x", "a password in the address postgres://"),
        ("wandb_api_key=0123456789abcdef0123456789abcdef01234567", "Weights & Biases Key 0123…"),
        ('WANDB_API_KEY: "0123456789abcdef0123456789abcdef01234567"', "Weights & Biases Key 0123…"),
    ],
)
def test_what_its_surroundings_tell_to_be_secret_is_found_in_a_text(
    release: Path, line: str, said: str
) -> None:
    (release / "model" / "README.md").write_text(f"one\n{line}\n")
    with pytest.raises(Refused, match=rf"^model/README\.md:2: holds {said}") as refused:
        scan(release)
    assert "hunter22" not in str(refused.value)
    write_rows(release, f"It is {line}")
    if "@" in line:
        scan(release)  # as a row says


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model/a.txt", f"token {TOKEN}".encode("utf-16")),
        ("model/a.md", f"token {TOKEN}".encode("utf-16-le")),
        ("model/a.json", f"é token {TOKEN}".encode("latin-1")),
        ("model/tokenizer.json", b"{"),
        ("model/a.safetensors", b"short"),
        ("model/a.safetensors", b"\xff" * 20),
    ],
)
def test_what_cannot_be_read_is_refused(release: Path, name: str, content: bytes) -> None:
    (release / name).write_bytes(content)
    with pytest.raises(Refused, match=rf"^{name}: cannot be read as what its name says"):
        scan(release)


def test_the_header_of_safetensors_and_the_name_of_a_log_are_looked_at(release: Path) -> None:
    write_safetensors(release / "model" / "model.safetensors", {"from": "/home/bob/checkpoint"})
    with pytest.raises(Refused, match=r"model/model\.safetensors:1: names .* /home/bob/checkpoint"):
        scan(release)
    (release / "model" / "model.safetensors").unlink()
    (release / "model" / "events.out.tfevents.1795262545.gpu7.28146.0").write_bytes(b"\0\0")
    with pytest.raises(Refused, match=r"28146\.0: the file's name holds this machine's name gpu7"):
        scan(release)


def test_a_folder_of_this_run_is_found_in_a_picture(release: Path) -> None:
    (release / "model" / "training.png").write_bytes(b"\x89PNG\0 tEXt /gpfs/alice/runs/3 \0")
    with pytest.raises(Refused, match=r"^model/training\.png: names the local path /gpfs/alice/r"):
        scan(release)


def test_a_path_that_a_row_or_a_model_says_may_be_quoted_but_none_of_this_run(
    release: Path,
) -> None:
    report = release / "dataset" / "report.md"
    report.write_text("an answer: It is in /home/bob/notes…\n")
    scan(release)
    report.write_text("before: look at /root/answers\n")
    scan(release, spoken=["Please look at /root/answers."])
    with pytest.raises(Refused, match=r"report\.md:1: names the local path /root/answers"):
        scan(release)
    report.write_text("made in /home/alice/x\n")
    write_rows(release, "made in /home/alice/x")
    with pytest.raises(Refused, match=r"report\.md:1: names the local path /home/alice"):
        scan(release)


def test_a_token_in_a_row_is_refused_with_file_and_row_and_never_shown(release: Path) -> None:
    write_rows(release, "a", "b", f"mine:\n{TOKEN}", name="validation")
    pl.DataFrame({"answers": [["none"], [TOKEN]]}).write_parquet(release / "dataset" / "a.parquet")
    with pytest.raises(Refused) as refused:
        scan(release)
    told = str(refused.value)
    assert "dataset/a.parquet, row 2: holds Hugging Face Token hf_K…" in told
    assert "dataset/data/validation.parquet, row 9: holds Hugging Face Token hf_K…" in told
    assert TOKEN[8:] not in told


def test_contacts_in_rows_are_counted_and_shown_masked(release: Path) -> None:
    write_rows(
        release,
        "Write to jane.doe@example.org or joe@example.com",
        "call +49 30 1234567 today",
        "on 2024-05-06 at 10.5 %",
        'say\n"(212) 555-0142"',
    )
    found = scan(release)
    assert (found.rows, found.emails, found.phones) == (4, 2, 2)
    where = "in dataset/data/train.parquet, row"
    assert found.examples == (
        f"j…@example.org {where} 7",
        f"j…@example.com {where} 7",
        f"+49…67 {where} 8",
        f"(21…42 {where} 10",
    )
    assert found.sentence.endswith(f"phone numbers: 2 ({'; '.join(found.examples)}).")


def test_the_first_leaks_are_named_and_the_others_counted(release: Path) -> None:
    (release / "model" / "run.log").write_text("/home/bob/x\n" * 5)
    with pytest.raises(Refused, match=r"run\.log:1: .*run\.log:2: .*run\.log:3: .*; and 2 more\. "):
        scan(release)


def test_a_description_is_held_to_the_same(alice: None) -> None:
    require_clean(
        "description",
        "# v2\nSee https://huggingface.co/alice/x\nIt is in /home/bob/x.",
        spoken=["It is in /home/bob/x."],
    )
    with pytest.raises(Refused, match=r"^description:3: names the local path /home/bob/x\. "):
        require_clean("description", "# v2\n\nIt is in /home/bob/x.")
    with pytest.raises(Refused, match=r"^description:2: holds Hugging Face Token hf_K…"):
        require_clean("description", f"# v2\n{TOKEN}")
