"""A published release -> proof that it is what its release.json says, or the first difference.

in   three repositories at their commits, or one of their names; nothing else is known
out  a line for each thing that was verified; Refused with repository, file, expected and found

`python -m tasks.core.audit` reads places from standard input and writes JSON lines: the process
that audit_in_new_process starts, which shares no cache and no memory with the run that published.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tasks.core.errors import InputError, Refused
from tasks.core.fresh_folder import fresh_folder
from tasks.core.hub import HubUnavailable, retrying
from tasks.core.release_found import (
    PARTS,
    Manifest,
    Place,
    fetch_base,
    fetch_whole,
    first_difference,
    read_manifest,
)
from tasks.core.release_named import places_of as places_of
from tasks.core.smoke import as_likely, ask, loaded
from tasks.core.stage import ROOT
from tasks.core.tokenizer_contract import require_same
from tasks.core.trees import MANIFEST

SHOWN = 5  # names of files
ENDS: dict[int, type[Exception]] = {1: Refused, 2: InputError, 75: HubUnavailable}
CACHES = (  # all that would lie outside HF_HOME
    *("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE"),
    *("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_XET_CACHE", "XDG_CACHE_HOME"),
)


def audit(places: list[Place], cache: Path | None = None) -> Iterator[str]:
    """Download, compare, load, ask. Raises Refused with the first difference.

    The base alone may come from a cache of this machine.
    """
    manifest = _one_manifest(places)
    yield f"{MANIFEST} {manifest.version}: the same in {len(places)} repositories"
    folders = {}
    for place in places:
        folders[place.part], added = fetch_whole(place, manifest)
        files = manifest.files[place.part].values()
        size = sum(file.size for file in files)
        listed = f"{place}: {len(files)} files, {size:,} bytes, sha256 and size of each as listed"
        yield listed + _besides(added)
    yield _count_rows(next(one for one in places if one.part == "dataset"), manifest)
    base, whence = fetch_base(manifest.inputs.base, cache)
    yield whence
    for place in places:
        if place.part != "dataset":
            try:
                require_same(base, folders[place.part], manifest.template_changed)
            except Refused as refused:
                raise Refused(f"{place}: {refused}") from refused
            yield f"{place}: tokenizer as in the base {manifest.inputs.base}"
    for place in places:
        if place.part != "dataset":
            adapter = folders["adapter"] if place.part == "adapter" else None
            yield _ask_again(place, manifest, base if adapter else folders["model"], adapter)


def _one_manifest(places: list[Place]) -> Manifest:
    """The manifest that all repositories hold, which names just these repositories."""
    if {place.part for place in places} != set(PARTS):
        raise InputError(f"audit: a release is {', '.join(PARTS)}, and all are verified together.")
    found = [read_manifest(place) for place in places]
    manifest, text = found[0]
    for place, (_, other) in zip(places, found, strict=True):
        if other != text:
            raise Refused(
                f"{place}: its {MANIFEST} is not that of {places[0]}: "
                f"{first_difference(text, other)}."
            )
        if manifest.repositories.get(place.part) != place.repo:
            raise Refused(
                f"{place}: its {MANIFEST} is of {manifest.repositories.get(place.part)}. It is a "
                "copy, or was renamed."
            )
    return manifest


def _count_rows(place: Place, manifest: Manifest) -> str:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        found = retrying(str(place), lambda: load_dataset(place.repo, revision=place.revision))
    except (InputError, HubUnavailable):
        raise
    except (DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise Refused(f"{place}: load_dataset cannot load it ({reason}).") from error
    rows = {split: len(table) for split, table in found.items()}
    expected = manifest.rows.dataset
    if rows != expected:
        raise Refused(f"{place}: load_dataset finds {_told(rows)}; listed are {_told(expected)}.")
    return f"{place}: load_dataset finds {_told(rows)}, as listed"


def _besides(added: list[str]) -> str:
    """What people keep in a repository is theirs, and was not verified."""
    if not added:
        return ""
    further = f" and {len(added) - SHOWN} more" if len(added) > SHOWN else ""
    return f", and {len(added)} that the release does not list: {', '.join(added[:SHOWN])}{further}"


def _told(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in rows.items()) + " rows"


def _ask_again(place: Place, manifest: Manifest, model: Path, adapter: Path | None) -> str:
    """The smoke questions, of the merged model or of base and adapter."""
    questions = manifest.smoke.questions
    near = 0
    try:
        with loaded(model, adapter) as (loaded_model, tokenizer):
            asked = [question.messages for question in questions]
            said = ask(loaded_model, tokenizer, asked, manifest.smoke.max_new_tokens)
            for question, answer in zip(questions, said, strict=True):
                expected = question.adapter if adapter else question.model
                if answer == expected:
                    continue
                if not as_likely(loaded_model, tokenizer, question.messages, expected):
                    raise Refused(
                        f"{question.messages[-1]['content']!r}: answers {answer!r}, was evaluated "
                        f"with {expected!r}."
                    )
                near += 1
    except Refused as refused:
        raise Refused(f"{place}: {refused}") from refused
    what = f"{place}: loaded with {manifest.inputs.base}" if adapter else f"{place}: loaded"
    rounding = f", {near} of them but for rounding on this machine" if near else ""
    return f"{what}, {len(said)} questions answered as evaluated{rounding}"


def audit_in_new_process(
    places: list[Place], tell: Callable[[str], None] = lambda line: None
) -> list[str]:
    """The same in a process of its own with an empty cache, and without the write token; its lines
    are told as they come. A person's interrupt ends it too."""
    _free_gpu()
    with fresh_folder("verifying") as home, (home / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.core.audit"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(home),
            cwd=home,  # a folder named like a repository would be read in its place
        )
        try:
            lines, error = _listen(process, places, tell)
        finally:
            process.kill()  # if it has not ended by itself
            process.wait()
        log.seek(0)
        last = " ".join(log.read()[-500:].split())
    if process.returncode == 0 and not error:
        return lines
    if process.returncode in ENDS and error:
        raise ENDS[process.returncode](error)
    if process.returncode == -signal.SIGKILL:  # by the kernel, which says so to nobody
        raise InputError(
            "verify: its process was killed from outside, as a system does that runs out of "
            f"memory{_after(lines)}. It loads the base in fp32 with the adapter, then the merged "
            "model. Close what else needs memory, or take a machine with more of it, then run the "
            "same command again."
        )
    raise RuntimeError(f"verify: its process ended with {process.returncode}: {last}")


def _after(lines: list[str]) -> str:
    return f", after: {lines[-1]}" if lines else ""


def _free_gpu() -> None:
    """What torch keeps of earlier stages for later is wanted by the other process now."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _listen(
    process: subprocess.Popen[str], places: list[Place], tell: Callable[[str], None]
) -> tuple[list[str], str]:
    """(what it verified, why it did not). Its standard input stays open: it lives as long as we."""
    from huggingface_hub import constants

    assert process.stdin is not None and process.stdout is not None
    cache = str(Path(constants.HF_HUB_CACHE).absolute())
    asked = {"places": [place.model_dump() for place in places], "cache": cache}
    with suppress(BrokenPipeError):  # it has ended already; its log says why
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
    lines: list[str] = []
    for text in process.stdout:
        said = json.loads(text)
        if "error" in said:
            process.wait()
            return lines, said["error"]
        lines.append(said["verified"])
        tell(said["verified"])
    process.wait()
    return lines, ""


def _environment(home: Path) -> dict[str, str]:
    from huggingface_hub import constants

    kept = {name: value for name, value in os.environ.items() if name not in CACHES}
    kept.pop("HF_WRITE_TOKEN", None)
    return kept | {
        "HF_HOME": str(home / "hf"),
        # Who is logged in stays so: the token's file would be looked for in the new HF_HOME.
        "HF_TOKEN_PATH": str(Path(constants.HF_TOKEN_PATH).expanduser().absolute()),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }


def main() -> int:
    """The new process: places on standard input, JSON lines on standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no line of ours
    asked = json.loads(sys.stdin.readline())
    places = [Place.model_validate(one) for one in asked["places"]]
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**what: str) -> None:
        print(json.dumps(what), file=out, flush=True)

    try:
        for line in audit(places, Path(asked["cache"])):
            say(verified=line)
    except tuple(ENDS.values()) as error:
        say(error=str(error))
        return next(code for code, kind in ENDS.items() if isinstance(error, kind))
    return 0


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
