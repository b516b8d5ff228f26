"""Reference log-probabilities: computed once, read back, and refused where they are of another."""

import json
import math
import shutil

import pytest
from small_training import TRAIN, VALIDATION, left_in, recipe, small_base, train

from tasks.core.errors import Refused
from tasks.core.models import load_model, load_tokenizer
from tasks.core.reference import FILE, reference_logps
from tasks.core.render import answer_ids, prompt_ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def reference(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    facts = reference_logps(base, TRAIN, VALIDATION, recipe().machine, 64, folder)
    assert facts["pairs"] == len(TRAIN) + len(VALIDATION)
    assert [path.name for path in folder.iterdir()] == [FILE]
    return folder


def rows_of(folder):
    import pyarrow.parquet as pq

    return pq.read_table(folder / FILE).to_pylist()


def written(folder, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / FILE)
    return folder


def logp(model, tokenizer, prompt, answer):
    """Summed over the answer's tokens, one conversation at a time."""
    import torch

    start, whole = len(prompt_ids(tokenizer, prompt)), answer_ids(tokenizer, prompt, answer)
    with torch.no_grad():
        logps = model(torch.tensor([whole])).logits[0].log_softmax(-1)  # (tokens, vocabulary)
    return sum(logps[place - 1, whole[place]].item() for place in range(start, len(whole)))


def test_they_stand_in_the_order_of_the_pairs_and_are_those_of_the_base(base, reference):
    rows, pairs = rows_of(reference), [*TRAIN, *VALIDATION]
    assert [row["split"] for row in rows] == ["train"] * len(TRAIN) + ["validation"] * len(
        VALIDATION
    )
    model, tokenizer = load_model(base), load_tokenizer(base)
    for side in ("chosen", "rejected"):
        alone = [logp(model, tokenizer, pair["prompt"], pair[side]) for pair in pairs]
        assert [row[side] for row in rows] == pytest.approx(alone, abs=1e-4)


def test_computing_them_twice_gives_the_same_bytes(base, reference, tmp_path):
    reference_logps(base, TRAIN, VALIDATION, recipe().machine, 64, tmp_path)
    assert (tmp_path / FILE).read_bytes() == (reference / FILE).read_bytes()


def test_a_training_that_reads_them_is_the_one_that_computes_them(base, reference, tmp_path):
    from safetensors.torch import load_file

    one = recipe(training={"max_steps": 12}, batch={"gradient_accumulation_steps": 2})
    computed = train(base, one, tmp_path / "computed")
    read = train(base, one, tmp_path / "read", reference=reference)
    one, other = (
        load_file(tmp_path / name / "stage" / "adapter" / "adapter_model.safetensors")
        for name in ("computed", "read")
    )
    assert all((one[name] - other[name]).abs().max() < 1e-5 for name in one)
    for name in ("loss", "reward_margin", "chosen_logps"):
        assert read[name] == pytest.approx(computed[name], abs=1e-4)


def test_the_base_is_not_run_beside_the_policy_where_they_are_read(base, reference, tmp_path):
    calls = []
    from trl import DPOTrainer

    first = DPOTrainer.compute_ref_log_probs
    try:
        DPOTrainer.compute_ref_log_probs = lambda *args: calls.append(args) or first(*args)
        train(base, recipe(), tmp_path, reference=reference)
    finally:
        DPOTrainer.compute_ref_log_probs = first
    assert not calls
    start = json.loads((tmp_path / "stage" / "history.json").read_text())[0]
    assert start["eval_loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_those_of_another_model_are_refused_before_the_first_step(base, tmp_path):
    import torch

    other = small_base(tmp_path / "other")
    model = load_model(other)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight += 0.1 * torch.randn(
            model.model.layers[1].mlp.down_proj.weight.shape,
            generator=torch.Generator().manual_seed(0),
        )
    model.save_pretrained(tmp_path / "other")
    reference_logps(other, TRAIN, VALIDATION, recipe().machine, 64, tmp_path)
    with pytest.raises(Refused, match=r"reference is wrong: .* \S+ nats apart on one answer"):
        train(base, recipe(), tmp_path / "run", reference=tmp_path)
    assert not list((tmp_path / "run" / "stage").iterdir())


def test_values_of_other_pairs_whose_mean_is_right_are_refused_as_well(base, reference, tmp_path):
    rows = rows_of(reference)
    one, other = [row for row in rows if row["split"] == "validation"][:2]
    for side in ("chosen", "rejected"):
        one[side], other[side] = other[side], one[side]
    swapped = written(tmp_path / "swapped", rows)
    with pytest.raises(Refused, match="nats apart on one answer"):
        train(base, recipe(), tmp_path / "run", reference=swapped)


@pytest.mark.parametrize("change", ["permuted", "fewer"])
def test_a_file_of_other_pairs_is_refused_by_their_text(base, reference, tmp_path, change):
    rows = rows_of(reference)
    rows = [rows[1], rows[0], *rows[2:]] if change == "permuted" else rows[1:]
    with pytest.raises(Refused, match=r"has other train pairs, .* Delete"):
        train(base, recipe(), tmp_path / "run", reference=written(tmp_path / "other", rows))


def test_a_training_that_reads_them_resumes_as_well(base, reference, tmp_path, monkeypatch):
    from tasks.core import train as training

    one = recipe()
    whole = train(base, one, tmp_path / "whole", reference=reference)
    with monkeypatch.context() as broken:
        broken.setattr(training, "keep_adapter", None)
        with pytest.raises(TypeError):
            train(base, one, tmp_path / "killed", reference=reference)
    shutil.rmtree(tmp_path / "killed" / "work" / "checkpoint-8")
    assert train(base, one, tmp_path / "killed", reference=reference) == whole
    assert left_in(tmp_path / "killed" / "stage") == left_in(tmp_path / "whole" / "stage")
