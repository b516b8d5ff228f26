"""Own answers without padding: what is computed, and that it is what one row by itself gives."""

import random

import pytest
import torch
import transformers

from tasks.core.choices import likeliest
from tasks.core.decoding import SHARED, Batch, Job
from tasks.core.generate import _decoded
from tasks.core.kinds import SHARING
from tasks.core.quick_weights import quick_weights
from tasks.core.time_line import TimeLine
from tasks.core.unpadded import CALL, possible, side_by_side

SHAPE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # so that what a token sees matters to what comes next
    "sliding_window": None,
}
CLOSE = 1e-4  # of a logit in fp32


def made(kind, **changed):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SHAPE | changed)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(params=SHARING)
def model(request):
    return made(request.param)


@pytest.fixture
def empty_is_nan():
    """Memory that nothing was written to holds no numbers."""
    torch.use_deterministic_algorithms(True)
    assert torch.zeros(1).new_empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def drawn(count, seed=0, system=0, longest=60):
    """Prompts of `system` tokens alike and some of their own, each with a limit of its own."""
    chance = random.Random(seed)
    same = [chance.randrange(97) for _ in range(system)]
    jobs = []
    for number in range(count):
        ids = (*same, *(chance.randrange(97) for _ in range(chance.randint(1, longest))))
        stops = frozenset(range(0, 97, 9))
        jobs.append(Job(str(number), str(number), ids, chance.randint(1, 90), stops))
    return jobs


def alone(model, ids):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]


class Reading:
    """A model that notes of each forward pass its rows and columns."""

    def __init__(self, model):
        self.model, self.passes = model, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, input_ids, **told):
        self.passes.append(tuple(input_ids.shape))
        return self.model(input_ids=input_ids, **told)

    @property
    def read(self):
        """Tokens of prompts. A pass over one column is a step."""
        return [columns for rows, columns in self.passes if columns > 1]


def answered(model, jobs, size, choose=likeliest):
    assert all(error is None for _, error in _decoded(model, jobs, size, choose))
    return {job.key: job.said for job in jobs}


def test_greedy_answers_are_those_of_transformers(model):
    expected = {}
    for job in drawn(12, system=SHARED):
        model.generation_config.eos_token_id = sorted(job.stops)
        ids = torch.tensor([job.ids])
        told = {"max_new_tokens": job.most, "do_sample": False, "pad_token_id": 0}
        output = model.generate(ids, attention_mask=torch.ones_like(ids), **told)
        expected[job.key] = output[0, len(job.ids) :].tolist()
    assert possible(model)
    for size in (1, 3, 8, 32):
        assert answered(model, drawn(12, system=SHARED), size) == expected


@pytest.mark.parametrize("system", [0, SHARED - 1, 3 * SHARED])
@pytest.mark.parametrize("call", [0, CALL, 10**9])
@pytest.mark.usefixtures("empty_is_nan")
def test_every_choice_is_made_from_the_logits_of_its_row_alone(model, system, call, monkeypatch):
    """Rows in calls of their own, some together, all in one; over moves, leaving and joining."""
    monkeypatch.setattr("tasks.core.unpadded.CALL", call)
    monkeypatch.setattr("tasks.core.choices.CLOSE", 0)

    def choose(logits, draws):
        jobs = choose.jobs
        assert len(jobs) == len(logits)
        for job, found in zip(jobs, logits, strict=True):
            torch.testing.assert_close(found, alone(model, job.context), atol=CLOSE, rtol=CLOSE)
        return likeliest(logits, draws)

    batch = Batch(model, choose)
    say = batch._say

    def told(jobs, logits):
        choose.jobs = jobs
        say(jobs, logits)

    batch._say = told
    waiting = drawn(14, seed=1, system=system)
    with torch.inference_mode():
        while waiting or batch.jobs:
            if waiting and len(batch.jobs) < 4:
                batch.join(waiting[:3])
                waiting = waiting[3:]
            else:
                batch.step()
            batch.leave()
    assert model.config._attn_implementation == "sdpa"


def test_prompts_are_read_without_padding(model):
    jobs = drawn(9)
    counted = Reading(model)
    answered(counted, jobs, 4)
    one = sum(len(job.ids) == 1 for job in jobs)  # a pass over it alone looks like a step
    assert sum(counted.read) >= sum(len(job.ids) for job in jobs) - one
    assert sum(counted.read) <= sum(len(job.ids) for job in jobs)
    assert all(rows == 1 for rows, columns in counted.passes if columns > 1)


def test_a_common_beginning_is_read_once(model):
    jobs = drawn(9, system=3 * SHARED)
    own = sum(len(job.ids) - 3 * SHARED for job in jobs)
    counted = Reading(model)
    expected = answered(model, drawn(9, system=3 * SHARED), 1)
    assert answered(counted, jobs, 16) == expected
    assert 3 * SHARED + own - 9 <= sum(counted.read) <= 3 * SHARED + own


def test_a_prompt_that_is_the_beginning_of_another_reads_its_last_token(model):
    stops = frozenset({0})
    long = tuple(random.Random(4).randrange(1, 97) for _ in range(2 * SHARED))
    jobs = [Job(str(n), "", ids, 9, stops) for n, ids in enumerate((long, long[:-5], long[:-9]))]
    counted = Reading(model)
    found = answered(counted, jobs, 3)
    assert counted.passes[:2] == [(1, 2 * SHARED), (1, 2)]
    for job in jobs:
        job.said = []
    assert answered(model, jobs, 1) == found


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("mistral", {"sliding_window": 16}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
        ("gemma3_text", {"sliding_window": 8}),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}),
        ("phi3", {"pad_token_id": 0}),
    ],
)
@pytest.mark.usefixtures("empty_is_nan")
def test_other_kinds_are_padded_and_answer_the_same(kind, more):
    model = made(kind, **more)
    assert not possible(model)
    counted = Reading(model)
    expected = answered(model, drawn(6), 1)
    assert answered(counted, drawn(6), 4) == expected
    assert any(rows > 1 and columns > 1 for rows, columns in counted.passes)


def test_another_attention_is_left_as_it_is():
    model = made("llama", attn_implementation="eager")
    assert model.config._attn_implementation == "eager" and not possible(model)
    answered(model, drawn(3), 2)
    assert model.config._attn_implementation == "eager"


def test_rows_are_seen_together_where_their_padding_is_cheap():
    line = TimeLine()
    line.keys = [torch.zeros(6, 2, 4, 8)]
    column = 2 * 2 * 8 * 4  # bytes of keys and values
    near = CALL // column
    assert side_by_side([0, 0, 0], line) == [slice(0, 3)]
    assert side_by_side([0, near], line) == [slice(0, 2)]
    assert side_by_side([0, near + 1], line) == [slice(0, 1), slice(1, 2)]
    assert side_by_side([near + 1, 0, 0], line) == [slice(0, 1), slice(1, 3)]


@pytest.mark.parametrize("tied", [True, False])
def test_weights_lie_otherwise_for_a_while(tied):
    model = made("llama", tie_word_embeddings=tied)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    linear = model.model.layers[0].mlp.up_proj.weight
    with pytest.raises(KeyboardInterrupt), quick_weights(model):
        assert linear.t().is_contiguous()
        assert model.lm_head.weight.is_contiguous() == tied
        assert all(torch.equal(w, before[name]) for name, w in model.named_parameters())
        raise KeyboardInterrupt
    for name, weight in model.named_parameters():
        assert weight.is_contiguous() and torch.equal(weight, before[name])
