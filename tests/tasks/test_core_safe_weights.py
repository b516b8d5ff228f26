"""Only safetensors leave and only safetensors are begun from; code of others is never run."""

import ast
import io
import json
import pickle
from pathlib import Path

import pytest
from ground import ROOT

from tasks.core.errors import InputError, Refused
from tasks.core.safe_weights import pickles, require_safe_base, require_safetensors

PACKAGES = ("flows", "tasks", "expectations", "localhub", "demo", "benchmarks")
SAFE = {"trust_remote_code": "False", "weights_only": "True"}
SAFETENSORS = (8).to_bytes(8, "little") + b"{}      "


def torch_file() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "adapter/training_args.bin",
        "model/model.PT",
        "a.pth",
        "a.pkl",
        "a.ckpt",
        "a.joblib",
        "a.npy",
    ],
)
def test_a_pickle_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(Refused, match=rf"^{name}: a pickle"):
        require_safetensors(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_whatever_it_is_called(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "config.json").write_bytes(pickle.dumps({"a": 1}, protocol))
    with pytest.raises(Refused, match=r"^config\.json: a pickle"):
        require_safetensors(tmp_path)


def test_what_torch_saved_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.dat").write_bytes(torch_file())
    with pytest.raises(Refused, match=r"^model\.dat: a pickle"):
        require_safetensors(tmp_path)
    (tmp_path / "model.dat").rename(tmp_path / "model.safetensors")
    with pytest.raises(Refused, match=r"^model\.safetensors: a pickle"):
        require_safetensors(tmp_path)


@pytest.mark.parametrize("name", ["tf_model.h5", "modeling_x.py", "notes.txt", "weights", "a.gguf"])
def test_what_no_release_holds_may_not_leave(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}, 0))
    with pytest.raises(Refused, match=rf"^{name}: no kind of file that a release holds"):
        require_safetensors(tmp_path)


def test_safetensors_texts_and_pictures_may_leave(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(SAFETENSORS)
    (tmp_path / "README.md").write_text("PK is how a zip begins")
    (tmp_path / "training.png").write_bytes(b"\x89PNG")
    (tmp_path / "merges.txt").write_text("a b")
    require_safetensors(tmp_path)
    length = (8).to_bytes(8, "little")
    for wrong in (b"not one", b"not a header", b"", length + b"{", length + b"[]      "):
        (tmp_path / "model.safetensors").write_bytes(wrong)
        with pytest.raises(Refused, match=r"^model\.safetensors: no safetensors file"):
            require_safetensors(tmp_path)


def test_pickles_are_known_by_name_in_a_list_of_files() -> None:
    assert pickles(["a.safetensors", "x/pytorch_model.bin", "b.bin.json"]) == [
        "x/pytorch_model.bin"
    ]


@pytest.fixture(scope="module")
def base(hub: object) -> object:
    """base(files) -> the commit of a repository with these files."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api, made = HfApi(), []

    def make(files: dict[str, bytes]) -> tuple[str, str]:
        repo = f"pairpress/weights-{len(made)}"
        made.append(repo)
        api.create_repo(repo)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        return repo, api.create_commit(repo, operations, commit_message="files").oid

    return make


def config(**values: object) -> bytes:
    return json.dumps({"model_type": "llama", **values}).encode()


def test_a_base_with_safetensors_may_have_pickles_beside_them(base) -> None:
    files = {"config.json": config(), "model.safetensors": SAFETENSORS, "pytorch_model.bin": b"x"}
    require_safe_base(*base(files))


def test_a_base_of_pickles_alone_is_refused_with_the_way_out(base) -> None:
    repo, revision = base({"config.json": config(), "pytorch_model.bin": torch_file()})
    with pytest.raises(InputError, match=r"pickles only \(pytorch_model\.bin\).*refs/pr/1"):
        require_safe_base(repo, revision)
    with pytest.raises(InputError, match=r"no model\.safetensors and no .*, so no weights"):
        require_safe_base(*base({"config.json": config()}))


@pytest.mark.parametrize(
    "beside", ["original/consolidated.safetensors", "adapter_model.safetensors"]
)
def test_safetensors_that_transformers_would_not_load_are_no_weights(base, beside: str) -> None:
    files = {"config.json": config(), beside: SAFETENSORS, "pytorch_model.bin": torch_file()}
    with pytest.raises(InputError, match=r"pickles only \(pytorch_model\.bin\)"):
        require_safe_base(*base(files))


def test_a_base_in_several_files_is_one_of_safetensors(base) -> None:
    require_safe_base(*base({"config.json": config(), "model.safetensors.index.json": b"{}"}))


@pytest.mark.parametrize("wrong", [b"[1]", b"{", b"\xff"])
def test_a_base_whose_configuration_is_no_object_is_refused(base, wrong: bytes) -> None:
    with pytest.raises(InputError, match=r"its config\.json is no JSON object"):
        require_safe_base(*base({"config.json": wrong, "model.safetensors": SAFETENSORS}))


def test_a_base_that_brings_code_is_refused_unless_transformers_has_its_own(base) -> None:
    auto = {"auto_map": {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}}
    weights = {"model.safetensors": SAFETENSORS}
    require_safe_base(*base({"config.json": config(**auto), **weights}))
    own = config(**auto | {"model_type": "own"})
    with pytest.raises(InputError, match=r"asks for code of its own repository .* 'own'"):
        require_safe_base(*base({"config.json": own, **weights}))


def test_no_source_runs_foreign_code_or_loads_a_pickle() -> None:
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and ast.unparse(node.value) != SAFE.get(
                node.arg, ast.unparse(node.value)
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.value.lineno} {node.arg}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "np.load"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}")
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            if isinstance(node, ast.Import | ast.ImportFrom):
                names.append(getattr(node, "module", None) or "")
                foreign = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
                found += [f"{path.relative_to(ROOT)} imports {one}" for one in foreign & {*names}]
    assert found == []
