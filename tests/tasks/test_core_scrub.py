"""What leaves the machine: no local key, and the base's tokenizer byte for byte."""

import json
from pathlib import Path

from tasks.core.release import copy_tokenizer, scrub

SENTENCEPIECE = bytes(range(256)) * 3  # not UTF-8: copied as bytes or spoilt


def test_local_keys_are_dropped_from_configurations(tmp_path: Path) -> None:
    config = {"_name_or_path": "/home/me/base", "is_local": True, "vocab_size": 8}
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(config))
    (tmp_path / "model" / "list.json").write_text('["/home/you"]')
    scrub(tmp_path)
    assert json.loads(path.read_text()) == {"vocab_size": 8}


def test_a_configuration_without_local_keys_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"b":1,\n "a": 2}')
    scrub(tmp_path)
    assert path.read_text() == '{"b":1,\n "a": 2}'


def test_a_tokenizer_is_copied_by_name_and_by_byte_and_nothing_else_with_it(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    base.mkdir()
    out.mkdir()
    files = {"tokenizer.model": SENTENCEPIECE, "merges.txt": b"a b\r\n", "model.safetensors": b"w"}
    for name, content in files.items():
        (base / name).write_bytes(content)
    copy_tokenizer(base, out)
    copied = {path.name: path.read_bytes() for path in out.iterdir()}
    assert copied == {name: files[name] for name in ("tokenizer.model", "merges.txt")}
