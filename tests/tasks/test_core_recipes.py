"""prefect.yaml as the recipe book: what is right in it, and how what is wrong is told.

It is long because each mistake that a person makes has its own sentence.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from ground import ROOT

from tasks.core.errors import InputError
from tasks.core.recipes import FILES, FLOW, deployments, parameters_of, read_recipe, recipe_book
from tasks.core.settings import Recipe

BOOK = ROOT / "prefect.yaml"
# https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml#deployment-fields
LEAST = {
    "base": {"model": "me/base"},
    "data": {"path": "me/data"},
    "release": {"repository": "mine"},
}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def book_of(folder: Path, parameters: Any) -> Path:
    path = folder / "recipes.yaml"
    deployment = {"name": "mine", "entrypoint": FLOW, "parameters": parameters}
    path.write_text(yaml.safe_dump({"deployments": [deployment]}))
    return path


def refusal(name: str, path: Path, *changes: str) -> str:
    with pytest.raises(InputError) as refused:
        read_recipe(name, path, changes)
    return str(refused.value)


@pytest.mark.parametrize("name", deployments(BOOK))
def test_every_recipe_in_the_book_is_valid(name: str) -> None:
    recipe = read_recipe(name, BOOK)
    given = parameters_of(name, BOOK)
    for section, values in given.items():
        kept = recipe.model_dump(mode="json", exclude_unset=True)[section]
        assert kept == values


@pytest.mark.parametrize("name", deployments(BOOK))
def test_every_local_file_that_a_recipe_names_is_there(name: str) -> None:
    recipe = read_recipe(name, BOOK)
    for section, key in FILES:
        path = getattr(getattr(recipe, section), key)
        assert section == "data" or path is None or (ROOT / path).read_text().strip()


@pytest.mark.slow
def test_the_flow_takes_exactly_the_sections_of_a_recipe() -> None:
    from flows.release_model import release_model

    taken = inspect.signature(release_model.fn).parameters
    assert list(taken) == [*sorted(taken, key=list(Recipe.model_fields).index)]
    assert set(taken) == set(Recipe.model_fields)
    for name, field in Recipe.model_fields.items():
        assert taken[name].annotation == field.annotation, name
        if field.is_required():
            assert taken[name].default is inspect.Parameter.empty, name
        else:
            assert taken[name].default == field.default, name


def test_an_unknown_recipe_is_told_with_those_there_are() -> None:
    told = refusal("dmeo", BOOK)
    assert told.startswith("recipe 'dmeo' is not in ")
    assert ", ".join(sorted(deployments(BOOK))) in told


def test_an_unknown_setting_is_told_with_the_known_ones_beside_it() -> None:
    told = refusal("demo", BOOK, "training.learning_rat=1.0e-5")
    assert "unknown setting training.learning_rat; known there: " in told
    assert "learning_rate, lr_scheduler_type" in told
    assert "known there: base, data, release" in refusal("demo", BOOK, "trainin=1")


def test_an_unknown_setting_of_a_section_that_may_be_missing_is_told_too() -> None:
    told = refusal("demo", BOOK, "curation.max_tokens=9")
    assert "unknown setting curation.max_tokens; known there: renames, max_new_tokens" in told
    told = refusal("demo", BOOK, "curation.renames=[{old: [Qwen], neu: Aria}]")
    assert "unknown setting curation.renames.0.neu; known there: slot, old, new" in told


def test_a_recipe_changes_a_check_and_leaves_one_out() -> None:
    checks = read_recipe(
        "hh", BOOK, ["checks.change.S1.purity=0.95", "checks.change.L2=null"]
    ).checks
    assert checks.change == {"S1": {"purity": 0.95}, "L2": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("checks.change.S9.purity=1", "no check is called S9; there are rows_become_pairs, "),
        ("checks.change.S1.puritty=1", "S1.puritty = 1: unknown; known: severity, "),
        ("checks.change.S1.purity=2", "S1.purity = 2: Input should be less than or equal to 1"),
        ("checks.change.S1.purity=true", "S1.purity = True: Input should be a valid number"),
        ("checks.change.S1.slots=[]", "S1.slots = []: unknown; known: severity, p, purity"),
        ("checks.change.L3.z=2", "L3.z = 2: has no effect, L3 is not asked here: it needs a ref"),
        ("checks.change.I1.max_share=0.1", 'it needs the profile "identity"'),
        ("checks.profile=identity", "slots: none given"),
        ("checks.profile=best", "checks.profile = 'best': input should be 'identity', "),
    ],
)
def test_a_check_that_there_is_not_is_refused_before_anything_starts(
    change: str, told: str
) -> None:
    assert told in refusal("hh", BOOK, change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("training.max_steps=0", "training.max_steps = 0: input should be greater than or equal"),
        ("training.learning_rate=fast", "training.learning_rate = 'fast': "),
        ("splits.test=0.5", "splits.test = 0.5: input should be less than 0.5"),
        ("loss.loss_type=[sigmoyd]", "loss.loss_type.0 = 'sigmoyd': "),
        ("watch.eval_steps=0", "watch.eval_steps = 0: input should be greater than 0"),
        ("gate=[strict]", "gate.0 = 'strict': 'strict' is no sentence: METRIC, one of >= <= > <"),
        ("gate=[stric > 1]", "gate.0 = 'stric > 1': 'stric > 1': no metric 'stric'; known: "),
        ("gate=[denial >= 0.9]", "'denial >= 0.9' is not measured without evaluation.identity_q"),
        ("watch.stop_when=strict > 1", "no metric 'strict'; known: loss, chosen_rewards, "),
        ("training.warmup_steps=1.5", "is neither a whole number of steps nor a share below 1"),
        ("watch.eval_steps=2.5", "is neither a whole number of steps nor a share below 1"),
        ("gate=[Strict >= 0.9]", "no metric 'Strict'; known: "),
        ("training.beta=0.1", "unknown setting training.beta: it is loss.beta"),
        ("training.bf16=true", "unknown setting training.bf16: it is machine.bf16"),
        ("training.eval_steps=5", "unknown setting training.eval_steps: it is watch.eval_steps"),
        (
            "training.max_length=512",
            "unknown setting training.max_length: it is reading.max_length",
        ),
        ("training.warmup_ratio=0.1", "it is training.warmup_steps, below 1"),
        ("lora.alpha=16", "unknown setting lora.alpha: it is lora.lora_alpha"),
        ("lora.target_modules=[]", "lora.target_modules"),
        ("lora.target_modules=[all-linear, q_proj]", "all-linear stands alone"),
        ("loss.beta=.inf", "loss.beta = inf: input should be a finite number"),
        ("loss.loss_weights=[.nan, 1]", "input should be a finite number"),
        ("loss.loss_weights=[0, 1]", "input should be greater than 0"),
        ("loss.loss_type=sft", "sft alone prefers nothing"),
        ("loss.label_smoothing=0.1", "robust needs it above 0 (0.1 is the paper's)"),
        ("loss.loss_type=[robust, sft]", "robust needs it above 0 (0.1 is the paper's)"),
        ("base=null", "base = None: "),
    ],
)
def test_a_value_out_of_bounds_is_told_with_its_place_and_value(change: str, told: str) -> None:
    assert told in refusal("demo", BOOK, change)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = refusal(
        "mine", book_of(tmp_path, {"data": {"path": "a/b"}, "reading": {"max_length": 1}})
    )
    assert "base is missing" in told and "release is missing" in told
    assert "reading.max_length = 1: " in told


def test_losses_without_weights_weigh_one_each_as_in_trl(tmp_path: Path) -> None:
    loss = read_recipe("mine", book_of(tmp_path, LEAST | {"loss": {"loss_type": ["ipo", "sft"]}}))
    assert loss.loss.loss_weights == (1.0, 1.0)
    one = read_recipe("mine", book_of(tmp_path, LEAST | {"loss": {"loss_type": "ipo"}}))
    assert (one.loss.loss_type, one.loss.loss_weights) == (("ipo",), (1.0,))


def test_a_weight_is_asked_for_each_loss_before_anything_starts() -> None:
    told = refusal("demo", BOOK, "loss.loss_weights=[1.0]")
    assert "loss" in told and "loss_weights" in told


@pytest.mark.parametrize("change", ["training", "=5", ".x=5", "training.=5", ""])
def test_a_change_that_is_no_assignment_is_told_with_the_form(change: str) -> None:
    assert f"change {change!r}: not of the form section.key=value" in refusal("demo", BOOK, change)


def test_a_change_that_is_not_yaml_is_told() -> None:
    assert "the value is not YAML" in refusal("demo", BOOK, "data.path=[1")


@pytest.mark.parametrize(
    ("change", "section", "key", "value"),
    [
        ("training.max_steps=7", "training", "max_steps", 7),
        ("training.learning_rate=5.0e-7", "training", "learning_rate", 5e-7),
        ("training.learning_rate=5e-7", "training", "learning_rate", 5e-7),  # text to PyYAML
        ("release.private=true", "release", "private", True),
        ("watch.stop_when=null", "watch", "stop_when", None),
        ("lora.target_modules=[q_proj, v_proj]", "lora", "target_modules", ("q_proj", "v_proj")),
        ("lora.target_modules=all-linear", "lora", "target_modules", ("all-linear",)),
        ("lora.target_modules=q_proj", "lora", "target_modules", ("q_proj",)),
        ("sweep.beta=0.3", "sweep", "beta", (0.3,)),
        ("sweep.learning_rate=[1e-5, 5.0e-5]", "sweep", "learning_rate", (1e-5, 5e-5)),
        ("loss.loss_type=[ipo, sft]", "loss", "loss_type", ("ipo", "sft")),
        ("data.path=A=B", "data", "path", "A=B"),
        ("data.path=a.b/c.json", "data", "path", "a.b/c.json"),
    ],
)
def test_a_change_reads_its_value_as_yaml(change: str, section: str, key: str, value: Any) -> None:
    recipe = read_recipe("demo", BOOK, [change])
    assert getattr(getattr(recipe, section), key) == value


def test_a_change_leaves_its_neighbours_and_the_later_one_wins() -> None:
    whole = read_recipe("demo", BOOK)
    changed = read_recipe("demo", BOOK, ["training.max_steps=7", "training.max_steps=9"])
    training = whole.training.model_copy(update={"max_steps": 9})
    assert changed == whole.model_copy(update={"training": training})


def test_a_section_can_be_taken_away_and_one_that_was_null_filled(tmp_path: Path) -> None:
    assert read_recipe("demo", BOOK, ["curation=null", "gate=[]"]).curation is None
    assert "gate: 'strict >= 0.9' compares names" in refusal("demo", BOOK, "curation=null")
    languages = ("gate=[strict_languages > 0.5]", "evaluation.identity_questions=x.jsonl")
    assert "compares names" in refusal("hh", BOOK, *languages)
    path = book_of(tmp_path, LEAST | {"curation": None})
    changes = ["curation.renames=[{old: [Qwen], new: Aria}]"]
    curation = read_recipe("mine", path, changes).curation
    assert curation is not None
    assert [(one.old, one.new) for one in curation.renames] == [(("Qwen",), "Aria")]


def test_a_recipe_elsewhere_finds_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").touch()
    path = book_of(tmp_path, LEAST | {"data": {"path": "pairs.jsonl"}})
    assert read_recipe("mine", path).data.path == str(tmp_path / "pairs.jsonl")
    path = book_of(tmp_path, LEAST)
    assert read_recipe("mine", path).data.path == "me/data"


def test_only_deployments_of_the_release_flow_are_recipes(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    other = {"name": "other", "entrypoint": "flows/else.py:other"}
    path.write_text(yaml.safe_dump({"deployments": [other, {"name": "a", "entrypoint": FLOW}]}))
    assert list(deployments(path)) == ["a"]


def test_the_book_here_comes_before_the_one_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe_book() == BOOK
    (tmp_path / "prefect.yaml").touch()
    assert recipe_book().resolve() == tmp_path / "prefect.yaml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("deployments: [", "not YAML"),
        ("", "no list `deployments`"),
        ("just text", "no list `deployments`"),
        ("deployments: {}", "no list `deployments`"),
    ],
)
def test_a_file_that_is_no_recipe_book_is_refused_by_name(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(text)
    refused = refusal("demo", path)
    assert refused.startswith(str(path)) and told in refused


def test_a_missing_recipe_file_is_told_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such recipe file.*--recipe"):
        recipe_book(tmp_path / "missing.yaml")


@pytest.mark.parametrize("section", ["a/b", ["a/b"], {"path": ["a/b"]}])
def test_a_section_of_the_wrong_shape_is_told_by_its_name(tmp_path: Path, section: Any) -> None:
    path = book_of(tmp_path, LEAST | {"data": section})
    assert "recipe 'mine': data" in refusal("mine", path)


def test_a_change_inside_a_section_of_the_wrong_shape_is_told_by_its_name() -> None:
    assert "recipe 'demo': data = 'a/b': " in refusal("demo", BOOK, "data=a/b", "data.split=train")


@pytest.mark.parametrize("parameters", [["data"], "data"])
def test_parameters_that_are_no_sections_are_told_with_the_file(
    tmp_path: Path, parameters: Any
) -> None:
    path = book_of(tmp_path, parameters)
    told = refusal("mine", path)
    assert str(path) in told and "'mine'" in told


def test_a_deployment_without_a_name_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "nameless.yaml"
    path.write_text(yaml.safe_dump({"deployments": [{"entrypoint": FLOW}, "text"]}))
    assert str(path) in refusal("mine", path)
