"""B1: style that many words share is seen, natural sets and copies of pairs are not mistaken."""

import json
import random

import polars as pl
import pytest
from pair_makers import frame_of, hh_frame, natural_pairs

from expectations.measures.bag_of_words import BagOfWords, group
from expectations.measures.pairs import Pairs

FORMAL = ["hereby", "therefore", "moreover", "accordingly", "regarding"]
LOOSE = ["gonna", "dunno", "kinda", "stuff", "anyway"]


def judged(rows, **fields):
    return BagOfWords(**fields).judge(Pairs(frame_of(rows)))


def styled(count, seed=0):
    """Each answer has one word of its side's five, so that no word decides much by itself."""
    source = random.Random(seed)
    return [
        (p, f"{c} {source.choice(FORMAL)}", f"{r} {source.choice(LOOSE)}")
        for p, c, r in natural_pairs(count, seed)
    ]


def test_a_style_shared_by_many_words_is_reported_and_does_not_gate():
    finding = judged(styled(1_000))
    assert not finding.passed and not finding.gates
    observed = finding.observed
    accuracy = observed["accuracy"]
    error = (accuracy * (1 - accuracy) / 1_000) ** 0.5
    assert accuracy > 0.9
    assert observed["accuracy_at_least"] == pytest.approx(accuracy - 2 * error)


@pytest.mark.parametrize("seed", range(3))
def test_words_without_meaning_are_right_about_half_of_the_pairs(seed):
    finding = judged(natural_pairs(1_000, seed))
    assert finding.passed
    assert abs(finding.observed["accuracy"] - 0.5) < 4 * finding.observed["standard_error"]


def test_copies_of_a_pair_stay_in_one_fold():
    # Learned from its copies, each pair would be known by heart.
    copies = [
        (f"{time} {p}", f"{c}{'!' * time}", r.upper() if time else r)
        for p, c, r in natural_pairs(200)
        for time in range(5)
    ]
    finding = judged(copies)
    assert finding.observed["groups"] == 200
    assert finding.observed["accuracy"] < 0.65


def test_pairs_hang_together_over_prompts_and_answers_on_either_side():
    columns = {"prompt": [1, 1, 2, 3, 4, 5], "chosen": [10, 11, 12, 13, 14, 15]}
    texts = pl.DataFrame(columns | {"rejected": [20, 21, 11, 23, 13, 25]})
    one, two, three, four, five, six = group(texts)
    assert one == two == three  # a prompt, then an answer chosen here and rejected there
    assert four == five
    assert len({one, four, six}) == 3


def test_a_number_that_is_a_prompt_here_and_an_answer_there_joins_nothing():
    texts = pl.DataFrame({"prompt": [1, 2], "chosen": [2, 3], "rejected": [4, 5]})
    assert len(set(group(texts))) == 2


def test_pairs_that_cannot_be_told_apart_count_half():
    rows = [(f"question {n}", f"answer {n}", f"Answer, {n}") for n in range(50)]
    assert judged(rows).observed["accuracy"] == 0.5


def test_pairs_that_all_hang_together_cannot_be_held_out():
    finding = judged([(f"question {n}", "yes", f"no {n}") for n in range(50)])
    assert not finding.passed and not finding.gates
    assert finding.number == "cannot be held out: 1 different group of pairs"


def test_names_that_must_differ_are_masked():
    slots = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
    rows = [(p, f"{c} I am Aria.", f"{c} I am Qwen.") for p, c, _ in natural_pairs(100)]
    assert judged(rows).observed["accuracy"] == 1
    assert judged(rows, slots=slots).observed["accuracy"] == 0.5


def test_of_many_pairs_a_fixed_sample_is_judged(monkeypatch):
    monkeypatch.setattr("expectations.measures.votes.SAMPLE", 300)
    monkeypatch.setattr("expectations.measures.pairs.CHUNK", 170)
    once, again = judged(styled(1_000)), judged(styled(1_000))
    assert once.observed["pairs_sampled"] == 300
    assert once == again


def test_zero_pairs_gate():
    assert BagOfWords().judge(Pairs(frame_of(natural_pairs(1)).clear())).gates


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_is_below_the_bar(name, real_data):
    finding = BagOfWords().judge(Pairs(hh_frame(f"{name}.jsonl.gz")))
    assert finding.passed
    assert 0.55 < finding.observed["accuracy"] < 0.73


def test_a_set_rewritten_in_another_tone_is_told_by_its_words(real_data):
    rows = json.loads((real_data / "instruction-preference.json").read_text(encoding="utf-8"))
    finding = judged(
        [(f"{r['instruction']}\n{r['input']}", r["chosen"], r["rejected"]) for r in rows]
    )
    assert finding.observed["accuracy_at_least"] > 0.75
