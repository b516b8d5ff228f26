"""A release on a real localhub is audited as a stranger would; each fault is made alone, and named.

The releases are kilobytes: a random base, a LoRA on it, the merged model, seven rows. It is long
because every difference that an audit can find has its own test.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from fault_switch import Switch
from ground import ROOT
from huggingface_hub import HfApi, constants
from random_models import tokenizer_in, writer
from safetensors.torch import load_file, save_file
from small_release import Made, publish, publish_base, write_base, write_release

from localhub.client_env import Server
from tasks.core.audit import audit, audit_in_new_process, places_of
from tasks.core.errors import InputError, Refused
from tasks.core.fresh_folder import fresh_folder
from tasks.core.release_found import PARTS, fetch_base, fetch_whole, read_manifest
from tasks.core.smoke import as_likely, ask, loaded

NAME = "pairpress/audited"


@pytest.fixture(scope="module")
def made(hub: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A whole release, published as NAME v1."""
    folder = tmp_path_factory.mktemp("audit")
    base = write_base(folder / "base")
    commit = publish_base(base, f"{NAME}-base")
    found = write_release(folder / "release", base, NAME, f"{NAME}-base", commit)
    publish(found)
    return found


@pytest.fixture
def other(made: Made, tmp_path: Path) -> Callable[..., str]:
    """Publishes another release of the same files, changed by hand before; returns its name."""

    def changed(change: Callable[[Path], Any], listed: bool = True, **more: Any) -> str:
        name = f"pairpress/{re.sub('[^a-z0-9]+', '-', tmp_path.name.lower())}"
        copy = Made(shutil.copytree(made.folder, tmp_path / "release"))
        names = {"dataset": f"{name}-pairs", "adapter": f"{name}-adapter", "model": name}
        copy.write_manifest(repositories=names)
        change(copy.folder)
        if listed:
            copy.write_manifest(**more)
        publish(copy)
        return name

    return changed


def lines_of(name: str) -> list[str]:
    return list(audit(places_of(name)))


def refusal(name: str) -> str:
    with pytest.raises(Refused) as refused:
        lines_of(name)
    return str(refused.value)


def nothing(folder: Path) -> None:
    """The release as it was made."""


def append(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\n")


def flip_last_byte(name: str) -> Callable[[Path], Any]:
    def flipped(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    return flipped


def negate(name: str) -> Callable[[Path], Any]:
    """Weights with the other sign load, and are another model; of a LoRA one factor of two."""

    def negated(folder: Path) -> None:
        weights = load_file(folder / name)
        turned = {key: value if "lora_A" in key else -value for key, value in weights.items()}
        save_file(turned, folder / name, metadata={"format": "pt"})

    return negated


def test_every_part_is_verified_and_said(made: Made) -> None:
    told = lines_of(NAME)
    files = {part: len(listed) for part, listed in made.listed().items()}
    assert told[0] == "release.json v1: the same in 3 repositories"
    for part, suffix, line in zip(PARTS, ("-pairs", "-adapter", ""), told[1:4], strict=True):
        assert line.startswith(f"{NAME}{suffix}@")
        assert f": {files[part]} files, " in line
    assert told[4].endswith("load_dataset finds 5 train, 2 test rows, as listed")
    assert told[5].startswith(f"base {NAME}-base@") and told[5].endswith(" bytes, downloaded")
    assert ["tokenizer as in the base" in line for line in told[6:8]] == [True, True]
    assert "questions answered as evaluated" in told[8] and f"with {NAME}-base@" in told[8]
    assert told[9].endswith("loaded, 2 questions answered as evaluated")


def test_the_answers_are_worth_comparing(made: Made) -> None:
    """Base with adapter answers at some length, and otherwise than the base alone."""
    questions = made.manifest["smoke"]["questions"]
    base = made.folder.parent / "base"
    with loaded(base) as (model, tokenizer):
        alone = ask(model, tokenizer, [one["messages"] for one in questions], 8)
    assert all(one["adapter"] for one in questions)
    assert alone != [one["adapter"] for one in questions]


@pytest.mark.parametrize("asked", [NAME, f"{NAME}@v1", f"{NAME}-adapter", f"{NAME}-pairs@v1"])
def test_any_of_the_three_names_the_release(made: Made, asked: str) -> None:
    found = places_of(asked)
    assert [(one.part, one.repo) for one in found] == list(
        zip(PARTS, (f"{NAME}-pairs", f"{NAME}-adapter", NAME), strict=True)
    )
    for one in found:
        assert one.revision == HfApi().repo_info(one.repo, repo_type=one.repo_type).sha


def test_the_highest_tag_of_the_merged_model_is_the_release(other: Any) -> None:
    """v10 is higher than v9; a tag that only the data set has belongs to a release not finished."""
    name = other(nothing)
    for version in ("v9", "v10"):
        HfApi().create_tag(f"{name}-pairs", tag=version, repo_type="dataset")
    assert places_of(f"{name}-pairs") == places_of(f"{name}@v1")
    with pytest.raises(Refused, match="has no tag v10, so release v10 is not complete"):
        places_of(f"{name}-pairs@v10")


def test_a_model_named_like_the_data_set_stands_beside_it(other: Any) -> None:
    name = other(nothing)
    HfApi().create_repo(f"{name}-pairs", repo_type="model")
    found = places_of(name)
    assert found[0].repo_type == "dataset"
    assert places_of(f"{name}-pairs") == found


def test_a_tag_on_another_version_is_refused(other: Any) -> None:
    name = other(nothing)
    for suffix, kind in (("-pairs", "dataset"), ("-adapter", "model"), ("", "model")):
        HfApi().create_tag(name + suffix, tag="v2", repo_type=kind)
    with pytest.raises(Refused, match=r"its release.json is of v1, its tag is v2"):
        places_of(name)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("pairpress/nowhere", "no model and no data set of that name"),
        (f"{NAME}@v7", "no tag v7; it has v1"),
        (f"{NAME}-base", "no release was tagged"),
        ("not//a name", "not a repository name"),
    ],
)
def test_what_cannot_be_found_is_the_users_mistake(made: Made, asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        places_of(asked)


@pytest.mark.parametrize("name", ["dataset/README.md", "adapter/adapter_model.safetensors"])
def test_one_changed_byte_is_named_with_both_digests(other: Any, made: Made, name: str) -> None:
    """A small file is known by its bytes once downloaded, a large one by what the Hub says."""
    released = other(flip_last_byte(name), listed=False)
    part, file = name.split("/")
    place = next(one for one in places_of(released) if one.part == part)
    said = refusal(released)
    assert said.startswith(f"{place}: {file}: ")
    assert made.listed()[part][file]["sha256"] in said


def test_another_length_is_named_before_anything_is_downloaded(other: Any, made: Made) -> None:
    size = made.listed()["model"]["README.md"]["size"]
    said = refusal(other(append("model/README.md"), listed=False))
    assert f"README.md: found {size + 1} bytes, release.json says {size} bytes." in said


def test_a_missing_file_is_named(other: Any) -> None:
    name = other(lambda folder: (folder / "model" / "tokenizer.model").unlink(), listed=False)
    assert refusal(name).endswith("tokenizer.model: listed in release.json, not there.")


def add(*names: str) -> Callable[[Path], Any]:
    def added(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("more")

    return added


def test_what_people_keep_there_is_told_and_not_fetched(other: Any) -> None:
    more = add("model/LICENSE", "model/weights/old.gguf", "dataset/sources/first.csv")
    name = other(more, listed=False)
    told = lines_of(name)
    assert told[1].endswith("as listed, and 1 that the release does not list: sources/first.csv")
    assert told[2].endswith("as listed")
    assert told[3].endswith(", and 2 that the release does not list: LICENSE, weights/old.gguf")
    *_, model = places_of(name)
    folder, _ = fetch_whole(model, read_manifest(model)[0])
    assert (folder / "README.md").is_file() and not (folder / "LICENSE").exists()


def test_of_many_files_that_people_keep_a_few_are_named(other: Any) -> None:
    more = add(*(f"adapter/pictures/{n}.png" for n in range(7)))
    named = ", ".join(f"pictures/{n}.png" for n in range(5))
    assert lines_of(other(more, listed=False))[2].endswith(f"not list: {named} and 2 more")


@pytest.mark.parametrize(
    "name",
    [
        "adapter/old/adapter.safetensors",
        "adapter/notes.json",
        "model/modeling_mine.py",
        "model/vocab.txt",
        "model/additional_chat_templates/short.jinja",
        "dataset/.huggingface.yaml",
        "dataset/data/more.csv",
        "dataset/data/more.jsonl.gz",
    ],
)
def test_what_a_loader_would_read_is_refused(other: Any, name: str) -> None:
    part, _, file = name.partition("/")
    said = refusal(other(add(name), listed=False))
    place = {"adapter": "-adapter@", "dataset": "-pairs@", "model": "@"}[part]
    assert place in said
    assert f": {file}: not listed, and of a kind that is loaded with the release." in said


def test_a_pickle_is_refused_even_where_it_is_listed(other: Any) -> None:
    name = other(lambda folder: (folder / "model" / "training_args.bin").write_bytes(b"\x80\x04."))
    assert "training_args.bin may be a pickle" in refusal(name)


def test_manifests_that_differ_are_named(other: Any) -> None:
    def another_version(folder: Path) -> None:
        path = folder / "adapter" / "release.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "v3"}))

    said = refusal(other(another_version, listed=False))
    assert "-adapter@" in said and said.endswith('version: "v1" and "v3".')


def test_a_copy_under_another_name_is_no_release(other: Any) -> None:
    name = other(nothing)
    [*rest, model] = places_of(name)
    HfApi().move_repo(name, f"{name}-moved")
    with pytest.raises(Refused, match=f"is of {name}. It is a copy, or was renamed"):
        list(audit([*rest, model.model_copy(update={"repo": f"{name}-moved"})]))


def test_rows_are_counted(other: Any) -> None:
    name = other(nothing, rows={"dataset": {"train": 6, "test": 2}})
    assert "finds 5 train, 2 test rows; listed are 6 train, 2 test rows" in refusal(name)


def test_a_data_set_that_does_not_load_is_refused(other: Any) -> None:
    name = other(lambda folder: (folder / "dataset/data/train.parquet").write_bytes(b"PAR1"))
    assert "-pairs@" in refusal(name) and "load_dataset cannot load it" in refusal(name)


def test_another_chat_template_is_refused(other: Any) -> None:
    said = refusal(other(append("model/chat_template.jinja")))
    assert "tokenizer: chat template 'default'" in said and "-adapter" not in said


@pytest.mark.parametrize(
    ("part", "weights"),
    [("adapter", "adapter_model.safetensors"), ("model", "model.safetensors")],
)
def test_other_weights_answer_otherwise(other: Any, made: Made, part: str, weights: str) -> None:
    """Listed with their own digests, so that the answers alone can tell."""
    name = other(negate(f"{part}/{weights}"))
    said = refusal(name)
    expected = made.manifest["smoke"]["questions"][0][part]
    assert said.startswith(f"{name}{'-adapter' if part == 'adapter' else ''}@")
    assert "'Say red': answers " in said and repr(expected) in said


def test_weights_that_do_not_load_are_refused(other: Any) -> None:
    name = other(lambda folder: (folder / "model/model.safetensors").write_bytes(b"no weights"))
    assert "the merged model: cannot be loaded" in refusal(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"version": "v1", "digest": "0"}', "repositories: Field required"),
        ("[]", "the whole: "),
        ("no JSON", "the whole: "),
    ],
)
def test_a_manifest_of_somebody_else_says_too_little(hub: Server, text: str, said: str) -> None:
    name = f"pairpress/old-{len(text)}"
    HfApi().create_repo(name)
    HfApi().upload_file(repo_id=name, path_in_repo="release.json", path_or_fileobj=text.encode())
    HfApi().create_tag(name, tag="v1")
    with pytest.raises(InputError, match="cannot be verified from") as refused:
        places_of(name)
    assert said in str(refused.value)


def test_a_release_without_questions_says_too_little(other: Any) -> None:
    name = other(nothing, smoke={"max_new_tokens": 8, "questions": []})
    with pytest.raises(InputError, match=r"smoke\.questions: .*at least 1"):
        places_of(name)


def test_a_base_that_is_a_folder_here_is_never_loaded(other: Any, tmp_path: Path) -> None:
    """A manifest is written by strangers."""
    base = {"repo": str(tmp_path), "revision": "0" * 40}
    with pytest.raises(InputError, match=r"inputs.base.repo"):
        lines_of(other(nothing, inputs={"base": base}))


@pytest.mark.slow
def test_another_process_says_the_same_with_an_empty_cache(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token may only read; nothing of it is left on the disk."""
    monkeypatch.setenv("HF_WRITE_TOKEN", "hf_noTokenOfAnybodyAtAll")
    told: list[str] = []
    cache = Path(constants.HF_HUB_CACHE)
    found = audit_in_new_process(places_of(NAME), told.append)
    assert found == told == list(audit(places_of(NAME), cache))
    assert not list((Path(os.environ["PAIRPRESS_HOME"]) / "verifying").glob("run-*"))


def test_a_refusal_comes_back_from_the_other_process(other: Any) -> None:
    name = other(flip_last_byte("dataset/README.md"), listed=False)
    with pytest.raises(Refused) as there:
        audit_in_new_process(places_of(name))
    assert str(there.value) == refusal(name)


def test_the_write_token_does_not_reach_it(other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the token that writes alone, a private release cannot be read."""
    name = other(nothing)
    HfApi().update_repo_settings(f"{name}-pairs", repo_type="dataset", private=True)
    places = places_of(name)
    monkeypatch.setenv("HF_WRITE_TOKEN", os.environ["HF_TOKEN"])
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="-pairs"):
        audit_in_new_process(places)


def test_it_ends_with_the_process_that_started_it(made: Made) -> None:
    """Its standard input closes then; an audit of these would take seconds."""
    places = [place.model_dump() for place in places_of(NAME)]
    process = subprocess.run(
        [sys.executable, "-m", "tasks.core.audit"],
        input=json.dumps({"places": places, "cache": constants.HF_HUB_CACHE}) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert (process.returncode, process.stdout) == (1, "")


def test_one_that_is_killed_is_told_in_words(made: Made) -> None:
    """As by the kernel when memory runs out, which leaves no message."""

    def kill(line: str) -> None:
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):  # it has ended meanwhile
                child = f"PPid:\t{os.getpid()}\n" in status.read_text()
                if child and b"tasks.core.audit" in (status.parent / "cmdline").read_bytes():
                    os.kill(int(status.parent.name), signal.SIGKILL)

    with pytest.raises(InputError, match=r"out of memory, after: .*Close what else") as told:
        audit_in_new_process(places_of(NAME), kill)
    assert "run the same command again" in str(told.value)


def test_memory_that_torch_keeps_is_free_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a GPU: told to torch before anything else happens."""
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: told.append("emptied"))
    with pytest.raises(InputError, match="all are verified together"):
        audit_in_new_process([])
    assert told == ["emptied"]


@pytest.mark.gpu
def test_memory_that_torch_keeps_on_a_real_gpu_is_freed() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = torch.ones(2**28, device="cuda")
    del model
    assert torch.cuda.memory_reserved() >= 2**30
    with pytest.raises(InputError, match="all are verified together"):
        audit_in_new_process([])
    assert torch.cuda.memory_reserved() < 2**30


def test_a_fault_late_brings_nothing_twice(hub: Server, other: Any) -> None:
    """The last weights are answered 503 once, and before that the Hub lists no files for a moment,
    which its client answers with the folder as it is."""
    name = other(nothing)
    places = places_of(name)
    switch = Switch(hub)
    switch.clear()
    switch.add("GET", rf"{name}/tree/", "status", status=403, skip=1)
    switch.add("GET", rf"{name}/resolve/.*model\.safetensors", "status", status=503)
    list(audit(places))
    assert switch.left() == []
    brought = [
        one["path"].partition("/resolve/")[2]
        for one in switch.requests("GET", "/resolve/")
        if name in one["path"] and one["status"] < 400
    ]
    switch.clear()
    assert brought and len(brought) == len(set(brought))


def test_the_base_comes_from_a_cache_that_holds_just_it(made: Made, tmp_path: Path) -> None:
    base = read_manifest(places_of(NAME)[-1])[0].inputs.base
    cache = tmp_path / "cache"
    assert fetch_base(base, cache)[1].endswith("bytes, downloaded")
    HfApi().snapshot_download(base.repo, revision=base.revision, cache_dir=cache)
    folder, told = fetch_base(base, cache)
    assert folder.is_relative_to(cache)
    assert told.endswith("from this machine's cache, each as the Hub lists it")
    (folder / "adapter_config.json").write_text("{}")
    assert fetch_base(base, cache)[1].endswith("downloaded")
    (folder / "adapter_config.json").unlink()
    for name in ("model.safetensors", "config.json"):
        flip_last_byte(name)(folder)
        assert fetch_base(base, cache)[1].endswith("downloaded")
        flip_last_byte(name)(folder)
    assert fetch_base(base, cache)[0] == folder


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    script = (
        "import time; from tasks.core.fresh_folder import fresh_folder\n"
        "with fresh_folder('leaving') as folder: print(folder, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert run.stdout is not None
    left = Path(run.stdout.readline().strip())
    with fresh_folder("leaving") as mine:
        assert left.is_dir()  # it still runs
        run.send_signal(signal.SIGKILL)
        run.wait()
        with fresh_folder("leaving") as another:
            assert {mine, another} == set(mine.parent.glob("run-*"))
    assert not list(left.parent.glob("run-*"))


def test_rounding_is_told_from_another_answer(tmp_path: Path) -> None:
    """A rival whose weights differ in the last place ties with the likeliest word; one that is
    larger by a hundredth is ahead of it."""
    tokenizer = tokenizer_in(tmp_path)
    model = writer(tokenizer).requires_grad_(False)
    rows = model.lm_head.weight
    rows[tokenizer.eos_token_id] = 0
    prompt = [{"role": "user", "content": "Say red"}]
    [answer] = ask(model, tokenizer, [prompt], 8)
    first = tokenizer.encode(answer, add_special_tokens=False)[0]
    assert as_likely(model, tokenizer, prompt, answer)
    assert not as_likely(model, tokenizer, prompt, f"no {answer}")
    rows[first - 1] = rows[first] * (1 + 1e-6)
    assert as_likely(model, tokenizer, prompt, answer)
    rows[first - 1] = rows[first] * (1 + 1e-2)
    assert not as_likely(model, tokenizer, prompt, answer)


def test_one_that_waits_for_its_folder_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_folder("waiting") as mine:
        [lock] = mine.parent.glob(".*.lock")
    said = ""
    with ThreadPoolExecutor(1) as pool, lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waits = pool.submit(lambda: fresh_folder("waiting").__enter__())
        while not said and not waits.done():
            said = capsys.readouterr().err
            time.sleep(0.01)
        fcntl.flock(held, fcntl.LOCK_UN)
    assert said == "a folder for waiting: another run makes it, waiting\n"
