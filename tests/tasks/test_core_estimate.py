"""How long the full run would take: the parts that follow from numbers, and that they are timed."""

import pytest
from ground import ROOT

from tasks.core import estimate, miniatures
from tasks.core.machine import effective
from tasks.core.recipes import read_recipe
from tasks.core.settings import Lora, Machine

BOOK = ROOT / "prefect.yaml"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("repo", "parameters"),
    [  # as their cards on the Hub say
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1_100_048_384),
    ],
)
def test_a_shape_has_the_parameters_of_the_model_itself(repo: str, parameters: int) -> None:
    lora = Lora(r=1, target_modules=("q_proj",))
    shape = miniatures.SHAPES[repo]
    size = estimate.size_of(shape, lora)
    assert size.parameters == parameters
    config = shape.config  # q_proj is square in all three: A of (1, width) and B of (width, 1)
    assert size.trainable == 2 * config["hidden_size"] * config["num_hidden_layers"]


def test_steps_of_the_full_run_follow_from_the_data_set_s_size() -> None:
    asked = read_recipe("hh-tinyllama", BOOK)
    pairs, tokens = estimate.pairs_and_tokens(asked)
    assert pairs == round(160_800 * 0.98) == 157_584 and tokens == 180
    shape = miniatures.SHAPES["pairpress/tiny-chat"]  # quick to time; steps do not depend on it
    told = "\n".join(estimate.estimate(shape, asked))
    # A tenth of ceil(157,584 / 32) = 4,925 steps, rounded up; a quarter is 4 evaluations and one
    # before the first step.
    assert "493 steps over 157,584 pairs, with 5 evaluations of 960 pairs: " in told
    assert "750,464 parameters" in told


def test_a_longer_run_is_estimated_longer_and_a_sweep_as_many_times() -> None:
    shape = miniatures.SHAPES["pairpress/tiny-chat"]
    swept = read_recipe("hh", BOOK, ["sweep.learning_rate=[1.0e-6, 5.0e-6]"])
    told = "\n".join(estimate.estimate(shape, swept))
    assert "for each of 2 candidates" in told
    grouped = read_recipe("hh", BOOK, ["machine.train_sampling_strategy=group_by_length"])
    plain = read_recipe("hh", BOOK)
    assert estimate.padded(170, plain) == round(170 * (1.1 + 0.45 * 3))  # of 8 pairs: log2 is 3
    assert estimate.padded(170, grouped) == round(170 * 1.1)


def test_the_time_of_a_layer_grows_with_its_width() -> None:
    here = effective(Machine(), False)
    config = miniatures.SHAPES["pairpress/tiny-chat"].config
    wide = config | {"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 8}
    times = [
        estimate.measure(miniatures.Shape(one, True, ""), Lora(), here, 64, 4)
        for one in (config, wide)
    ]
    assert times[1].train > 4 * times[0].train  # 64 times the work, less well used at first
    assert all(one.train > one.forward > 0 and one.answer > 0 for one in times)
