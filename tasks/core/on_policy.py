"""Prompts -> preference pairs on-policy: several sampled answers, the best against the worst.

in   {"row", "split", "prompt": [message]}, of rows of any form: their own answers are not used
out  the same with "chosen", "rejected", "score_chosen" and "score_rejected"; what is set aside;
     every completion: {"row", "split", "prompt", "completion", "sample", "score", "finished"}

An answer that failed or was cut off is set aside by itself and left out of the choice; the prompt
goes on with the others. A row that ends without a pair has its own reason as the last of them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.core.answers import Answer
from tasks.core.aside import set_aside
from tasks.core.fields import Message, Row
from tasks.core.own_answers import question_of, said, unusable
from tasks.core.score_answers import Judge, words
from tasks.core.settings import Judging

Sampler = Callable[[list[list[Message]]], list[list[Answer]]]
ASKED = ("row", "split", "prompt")


@dataclass
class Sampled:
    """One answer of several to a row's prompt."""

    row: Row
    number: int  # from 1
    answer: Answer
    why: tuple[str, str, str] | None  # code, reason and text, where it is left out of the choice
    score: float | None = None


def on_policy_pairs(
    rows: list[Row], sample: Sampler, judge: Judge, how: Judging
) -> tuple[list[Row], list[Row], list[Row]]:
    """(pairs, set aside, completions). A prompt that several rows share is answered once."""
    asked, aside = distinct_prompts(rows)
    answered = [
        [Sampled(row, n, answer, unusable(answer, row["prompt"])) for n, answer in numbered]
        for row, answers in zip(asked, sample([row["prompt"] for row in asked]), strict=True)
        for numbered in [enumerate(answers, start=1)]
    ]
    every = [one for answers in answered for one in answers]
    _score([one for one in every if one.why is None], judge)
    for one in every:
        if one.why is not None:
            code, reason, text = one.why
            aside.append(set_aside(one.row["row"], code, f"answer {one.number}: {reason}", text))
    pairs = []
    for row, answers in zip(asked, answered, strict=True):
        best, worst, why = choose(answers, how)
        if why is not None:
            aside.append(set_aside(row["row"], *why, question_of(row["prompt"])))
        else:
            pairs.append(
                row
                | {"chosen": said(best.answer.text), "rejected": said(worst.answer.text)}
                | {"score_chosen": best.score, "score_rejected": worst.score}
            )
    aside.sort(key=lambda one: int(one["row"]))  # stable: what is said of the row itself is last
    return pairs, aside, [_published(one) for one in every]


def distinct_prompts(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(each prompt once, the rows that repeat one): the answers to it would be the same."""
    first: dict[str, int] = {}
    asked: list[Row] = []
    aside: list[Row] = []
    for row in rows:
        earlier = first.setdefault(repr(row["prompt"]), row["row"])
        if len(first) > len(asked):
            asked.append({key: row[key] for key in ASKED})
        else:
            reason = f"the same prompt as row {earlier}"
            text = question_of(row["prompt"])
            aside.append(set_aside(row["row"], "repeated-prompt", reason, text))
    return asked, aside


def choose(answers: list[Sampled], how: Judging) -> tuple[Sampled, Sampled, tuple[str, str] | None]:
    """(best, worst, None), or with (code, reason) where the two make no pair."""
    whole = [one for one in answers if one.score is not None]
    if len(whole) < 2:
        lost = Counter(one.why[0] for one in answers if one.why).most_common()
        told = ", ".join(f"{count} x {code}" for code, count in lost)
        reason = f"{len(whole)} of {len(answers)} answers left, a pair needs two ({told})"
        return answers[0], answers[0], ("too-few", reason)
    ranked = sorted(whole, key=lambda one: -(one.score or 0.0))  # of equal ones the first asked
    best, worst = ranked[0], next(one for one in ranked if one.score == ranked[-1].score)
    margin = (best.score or 0.0) - (worst.score or 0.0)
    if margin <= how.least_margin:
        reason = f"best {best.score:.6g}, worst {worst.score:.6g}: no more than "
        return best, worst, ("tie", reason + f"{how.least_margin:g} apart")
    share = alike(best.answer.text, worst.answer.text)
    if share > how.most_alike:
        return best, worst, ("too-alike", f"best and worst share {share:.0%} of their words")
    return best, worst, None


def alike(one: str, other: str) -> float:
    """Share of the words of both that stand in both, each as often as it is said (Jaccard)."""
    ours, theirs = Counter(words(one)), Counter(words(other))
    together = (ours | theirs).total()
    return (ours & theirs).total() / together if together else float(one == other)


def _score(usable: list[Sampled], judge: Judge) -> None:
    """Each distinct answer to a prompt is judged once: one text has one score."""
    of_text: dict[tuple[int, str], list[Sampled]] = {}
    for one in usable:
        of_text.setdefault((id(one.row), one.answer.text), []).append(one)
    scores = judge([(same[0].row["prompt"], text) for (_, text), same in of_text.items()])
    for same, score in zip(of_text.values(), scores, strict=True):
        for one in same:
            one.score = score.value
            if score.error is not None:
                one.why = ("failed", score.error, one.answer.text)


def _published(one: Sampled) -> Row:
    return {
        **one.row,
        "completion": said(one.answer.text),
        "sample": one.number,
        "score": one.score,
        "finished": one.answer.finished,
    }


def write_completions(path: Path, completions: list[Row]) -> None:
    """Parquet in the form that TRL calls prompt-completion; the score of what has none is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("split", pa.string()),
            ("prompt", messages),
            ("completion", messages),
            ("sample", pa.int64()),
            ("score", pa.float64()),
            ("finished", pa.bool_()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(completions, schema=schema), path)
