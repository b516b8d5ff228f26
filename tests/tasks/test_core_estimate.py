"""How long the full run would take: the parts that follow from numbers, and that they are timed."""

import math

import pytest
from ground import ROOT

from tasks.core import estimate, miniatures
from tasks.core.known_data import Known
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


TINY = miniatures.SHAPES["pairpress/tiny-chat"]
FIXED = estimate.Measured(train=2e-3, forward=1e-3, answer=0.5, length=256)  # seconds


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is known to the digit; hours are then reckoned by hand."""
    monkeypatch.setattr(estimate, "measure", lambda *_: FIXED)


@pytest.mark.usefixtures("fixed")
def test_hours_of_a_full_run_are_those_reckoned_by_hand() -> None:
    asked = read_recipe("hh-tinyllama", BOOK)
    told = estimate.estimate(TINY, asked)
    # Padded: 180 tokens of 8 pairs, log2(8) = 3: 180 * (1.1 + 0.45 * 3) = 441. A pair has 2 texts,
    # a step 8 * 4 pairs, and the reference reads each text too, since it is seen once only:
    # 32 * 2 * 441 * (2 + 1) ms = 84.7 s.
    assert told[3].startswith("one step of 8 x 4 pairs of 2 x 441 tokens (180 typical")
    assert told[3].endswith(": 85 s")
    # 98 % of 160,800 rows are 157,584; a tenth of ceil(157,584 / 32) = 4,925 steps is 493. Of the
    # 1,608 validation pairs 960 are scored, at four quarters and once before:
    # 493 * 84.67 + 5 * 960 * 2 * 441 * (1 + 1) ms = 41,743 + 8,467 s = 13.9 hours.
    run = "493 steps over 157,584 pairs, with 5 evaluations of 960 pairs: 14 hours"
    assert told[4] == run
    # Base and adapter are asked 3 questions shown with a system message and without, the harmless
    # and harmful ones, each conversation once, and 200 held-out prompts both ways: 32 at once, 0.5
    # s a token.
    files = [ROOT / f"flows/questions/{kind}.txt" for kind in ("harmless", "harmful")]
    plain = {line for path in files for line in path.read_text().splitlines() if line}
    questions = 3 + len(plain | set(asked.evaluation.questions)) + 2 * 200
    minutes = 2 * math.ceil(questions / 32) * asked.measure.max_new_tokens * 0.5 / 60
    assert told[5].startswith(f"answers of 2 models to at most {questions:,} questions: ")
    assert f": {minutes:.0f} minutes if all" in told[5]


@pytest.mark.usefixtures("fixed")
def test_a_correction_makes_two_pairs_of_a_prompt_and_asks_those_of_every_split() -> None:
    changes = ["splits.max_train=50", "splits.max_test=100", "training.num_train_epochs=4"]
    told = "\n".join(estimate.estimate(TINY, read_recipe("identity-smollm", BOOK, changes)))
    # 50 prompts with and without the system message are 100 pairs; 4 * ceil(100 / 8) = 52 steps,
    # evaluated every 5 of them, at the last and before the first: 10 + 1 + 1.
    assert "at most 52 steps over 100 pairs, with 12 evaluations of 200 pairs: " in told
    # 50 + 100 + 100 prompts, each both ways; 500 answers are 16 batches of 128 tokens of 0.5 s.
    minutes = 16 * 128 * 0.5 / 60
    assert f"at most 500 own answers to the prompts of every split: {minutes:.0f} minutes" in told
    sampled = "\n".join(estimate.estimate(TINY, read_recipe("on-policy", BOOK)))
    assert f"at most {4 * (4000 + 300 + 300):,} own answers" in sampled  # four to each prompt


@pytest.mark.usefixtures("fixed")
def test_a_reference_that_is_kept_is_computed_once_and_costs_no_step() -> None:
    own = ["machine.precompute_ref_log_probs=true", "reading.max_rows=1000", "splits.max_test=100"]
    own += ["splits.validation=0.1", "splits.test=0.1", "training.num_train_epochs=1"]
    told = estimate.estimate(TINY, read_recipe("hh-tinyllama", BOOK, own))
    assert told[3].endswith(": 56 s")  # 32 * 2 * 441 * 2 ms
    # 25 * 56.45 s, 5 * 100 * 2 * 441 * 1 ms = 441 s, and 900 pairs once: 2 * 180 * 900 * 1 ms.
    minutes = (25 * 56.448 + 441 + 324) / 60
    run = "25 steps over 800 pairs, with 5 evaluations of 100 pairs"
    assert told[4] == f"{run}: {minutes:.0f} minutes"


@pytest.mark.usefixtures("fixed")
def test_each_candidate_of_a_sweep_takes_as_long_again() -> None:
    own = [
        "machine.precompute_ref_log_probs=false",
        "reading.max_rows=1000",
        "training.max_steps=10",
    ]
    one = estimate.estimate(TINY, read_recipe("hh", BOOK, own))
    two = estimate.estimate(
        TINY, read_recipe("hh", BOOK, [*own, "sweep.learning_rate=[1.0e-6, 5.0e-6]"])
    )
    # 170 tokens padded are 416; 10 steps of 8 pairs at 3 ms, 2 evaluations of 20 pairs at 2 ms:
    # 10 * 8 * 2 * 416 * 3 ms + 2 * 20 * 2 * 416 * 2 ms = 200 + 67 s.
    evaluated = "with 2 evaluations of 20 pairs"
    assert one[4] == f"10 steps over 880 pairs, {evaluated}: 4 minutes"
    assert two[4] == f"10 steps over 880 pairs for each of 2 candidates, {evaluated}: 9 minutes"
    assert two[5].startswith("answers of 3 models")


@pytest.mark.usefixtures("fixed")
def test_tokens_are_those_known_or_said_to_be_assumed() -> None:
    asked = read_recipe("demo", BOOK)
    assert "pairs of 2 x 128 tokens (assumed)" in estimate.estimate(TINY, asked)[3]
    seen = Known(rows=221, tokens=20, source="in the rehearsed rows")
    told = estimate.estimate(TINY, asked, seen)
    assert "2 x 49 tokens (20 in the rehearsed rows, padded)" in told[3]  # 20 * (1.1 + 0.45 * 3)
    drawn = Known(rows=221, tokens=20, source="in the rehearsed rows", longest=31)
    assert "2 x 31 tokens (20 in the reh" in estimate.estimate(TINY, asked, drawn)[3]
    # 221 rows less 22 and 55 are 144 prompts, 288 pairs; 150 steps, each fifth is evaluated.
    assert told[4].startswith("at most 150 steps over 288 pairs, with 31 evaluations of 44 pairs: ")


def test_layers_are_counted_and_the_rest_of_a_step_is_put_on_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "_layer", lambda *_: (3.0, 2.0, 1.0))
    monkeypatch.setattr(estimate, "_head", lambda *_: (0.5, 0.25, 0.125))
    here = effective(Machine(), False)
    found = estimate.measure(
        miniatures.Shape({"num_hidden_layers": 7}, True, ""), Lora(), here, 64, 4
    )
    assert found.train == pytest.approx(1.3 * (7 * 3 + 0.5))  # 1.3: what TRL adds, as measured
    assert found.forward == pytest.approx(1.3 * (7 * 2 + 0.25))
    assert found.answer == 7 * 1 + 0.125  # nothing of TRL's in it


def test_a_token_s_share_of_what_was_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each timed call is said to take a second, so that shares are left."""
    monkeypatch.setattr(estimate, "_seconds", lambda run: 1.0)
    here = effective(Machine(), False)
    layer = estimate._layer(TINY.config, Lora(), here, length=64, answers=4)
    assert layer == (1 / 128, 1 / 128, 1.0)  # two texts of 64 tokens
    again = effective(Machine(gradient_checkpointing=True), False)
    assert estimate._layer(TINY.config, Lora(), again, 64, 4)[0] == 2 / 128  # forward once more
    # A quarter of the vocabulary for 128 tokens: four times that for all of it, by token.
    assert estimate._head(TINY.config, here, 4) == (4 / 128, 4 / 128, 4.0)


def test_of_the_vocabulary_the_share_is_timed_that_is_multiplied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    widths, plain = [], torch.randn
    monkeypatch.setattr(torch, "randn", lambda *n, **k: widths.append(n[0]) or plain(*n, **k))
    monkeypatch.setattr(estimate, "_seconds", lambda run: 1.0)
    a_token, _, written = estimate._head(TINY.config, effective(Machine(), False), 4)
    assert widths[0] * written == TINY.config["vocab_size"] == 1200
    assert widths[1] * a_token == written


def test_a_batch_is_padded_as_its_sampling_strategy_makes_it() -> None:
    grouped = read_recipe("hh", BOOK, ["batch.train_sampling_strategy=group_by_length"])
    plain = read_recipe("hh", BOOK)
    assert estimate.padded(Known(None, 170), plain) == round(
        170 * (1.1 + 0.45 * 3)
    )  # of 8 pairs: log2 is 3
    assert estimate.padded(Known(None, 170), grouped) == round(170 * 1.1)


def test_the_time_of_a_layer_grows_with_its_width() -> None:
    here = effective(Machine(), False)
    config = miniatures.SHAPES["pairpress/tiny-chat"].config
    wide = config | {"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 8}
    times = [
        estimate.measure(miniatures.Shape(one, True, ""), Lora(), here, 64, 4)
        for one in (config, wide)
    ]
    assert times[1].train > 4 * times[0].train  # 64 times the work, less well used at first
    assert times[1].train > times[1].forward  # about 3 times; the tiny one's are lost in the noise
    assert all(one.forward > 0 and one.answer > 0 for one in times)
