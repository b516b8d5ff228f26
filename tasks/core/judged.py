"""Answers with a verdict -> pairs: several with scores, or two with a vote.

in   a row with a question and answers, and numbers or a vote beside them; its column names
out  a pair of tasks.core.forms: the best answer is chosen, the worst rejected; with "tie", the
     reason, where no answer is the better
"""

import json
import math
import re
from typing import Any

from tasks.core.fields import (
    Faults,
    Message,
    Row,
    add_fault,
    is_not,
    message,
    number_of,
    read_messages,
    read_text,
)
from tasks.core.repeated import without_prompt
from tasks.core.shapes import Names, Shape, read_asked, read_prompt

QUESTIONS = "prompt|instruction|question|query|context|history"
ANSWERS = "completions|responses|answers|generations|candidates"
SCORES = "scores|ratings|rewards|rating"
TEXTS = ("response", "answer", "completion", "generation", "text", "content")  # of one answer
POINTS = ("overall_score", "score", "rating", "reward", "rank")
NO_SCORE = (None, "", "N/A")
PAIR_SIDES = ("prompt", "chosen", "rejected")
NO_SCORES = {"score_chosen": None, "score_rejected": None}

WINNER = re.compile(r"(?:(?:model|response|answer|assistant|output|completion)[ _-]?)?([ab12])")
NEITHER = re.compile(r".*\b(?:tie|tied|both|neither)\b.*|.*both_?bad.*|draw")
SEVEN = {float(strength): float(strength) for strength in range(-3, 4)}
BY_NUMBER = {
    "better_response_id": {0.0: -1.0, 1.0: 1.0},
    "labels": {1.0: -1.0, 0.0: 1.0},  # of SHP: 1 where the first is preferred
    "overall_preference": SEVEN,  # of HelpSteer: -3, the first is much better, to 3
    "preference_strength": SEVEN,
}
# By winner_model_a and winner_model_b.
MARKED: dict[tuple[float | None, float | None], float] = {
    (1.0, 0.0): -1.0,
    (0.0, 1.0): 1.0,
    (0.0, 0.0): 0.0,
}
VOTES = "winner|overall_preference|preference_strength|preference"


def _scored_objects(row: Row, names: Names, found: Faults) -> Row:
    """Answers that each hold their own score, as those of UltraFeedback, or rank: 1 is the best."""
    column = names[1]
    scored: list[tuple[float, Any]] = []
    if not isinstance(row[column], list):
        reason = f"`{column}` {is_not('a list of answers', row[column])}"
        add_fault(found, column, "P1", reason, row[column], "")
    for number, one in enumerate([] if found else row[column], start=1):
        where = f"answer {number} of `{column}`"
        text = next((key for key in TEXTS if isinstance(one, dict) and key in one), None)
        if text is None:
            reason = f"{where} {is_not('an object with its text', one)}"
            add_fault(found, column, "P1", reason, one, "")
            continue
        points = next((key for key in POINTS if one.get(key) not in NO_SCORE), None)
        if points is not None:
            score = _score(one[points], f"`{points}` of {where}", column, found)
            scored.append((-score if points == "rank" else score, one[text]))
    return _best_and_worst(row, names, scored, found)


def _scored_lists(row: Row, names: Names, found: Faults) -> Row:
    """A list of answers beside a list of scores."""
    _, answers, scores = names
    both = [row[answers], row[scores]]
    if not all(isinstance(one, list) for one in both) or len(both[0]) != len(both[1]):
        reason = f"`{answers}` and `{scores}` are not two lists of one length"
        add_fault(found, answers, "P1", reason, both, "")
        both = [[], []]
    scored = [
        (_score(score, f"number {number} of `{scores}`", scores, found), answer)
        for number, (answer, score) in enumerate(zip(*both, strict=True), start=1)
        if score not in NO_SCORE
    ]
    return _best_and_worst(row, names, scored, found)


def _score(value: Any, what: str, column: str, found: Faults) -> float:
    score = number_of(value)
    if score is None or math.isnan(score):
        add_fault(found, column, "N1", f"{what} {is_not('a number', value)}", value, "")
        return 0.0
    return score


def _best_and_worst(row: Row, names: Names, scored: list[tuple[float, Any]], found: Faults) -> Row:
    question, column, *_ = names
    read: Row = {"prompt": _question(row, question, found), "chosen": None, "rejected": None}
    if len(scored) < 2 and not found:
        reason = f"fewer than two answers of `{column}` have a score"
        add_fault(found, column, "P1", reason, row[column], "")
    if found:
        return read | NO_SCORES
    points = [score for score, _ in scored]
    best, worst = max(points), min(points)
    places = {"chosen": points.index(best), "rejected": points.index(worst)}
    if best == worst:
        read["tie"] = f"all {len(scored)} answers have the score {abs(best):g}"
        places["rejected"] = 1
    for side, place in places.items():
        read[side] = _answer(scored[place][1], f"an answer of `{column}`", column, found)
    if not found:
        read |= _cut(read)
    return read | {"score_chosen": best, "score_rejected": worst}


def _voted(row: Row, names: Names, found: Faults) -> Row:
    question, *answers, column = names
    prompt = _question(row, question, found)
    sides = [_answer(row[name], f"`{name}`", name, found) for name in answers]
    return _decided(prompt, sides, row, column, found)


def _arena(row: Row, names: Names, found: Faults) -> Row:
    """Two whole conversations and the winner."""
    *talks, column = names
    sides = [read_messages(row[name], name, found) for name in talks]
    prompt, *answers = [[], *sides] if found else without_prompt([], *sides)
    return _decided(prompt, answers, row, column, found)


def _arena_texts(row: Row, names: Names, found: Faults) -> Row:
    """The same with each column a JSON list of turns, and a column for each model that won."""
    asked, *answers = [_turns(row[name], name, found) for name in names[:3]]
    sides = []
    for name, said in zip(names[1:3], answers, strict=True):
        if len(said) != len(asked) and not found:
            reason = f"`{names[0]}` has {len(asked)} turns and `{name}` {len(said)}"
            add_fault(found, name, "P1", reason, said, "")
        both = zip(asked, said, strict=False)
        sides.append([turn for one in both for turn in _question_and_answer(*one)])
    prompt, *ends = [[], *sides] if found else without_prompt([], *sides)
    return _decided(prompt, ends, row, names[3], found)


def _turns(value: Any, column: str, found: Faults) -> list[str]:
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    turns = value if isinstance(value, list) else [value]
    texts = [read_text(turn, f"a turn of `{column}`", column, found, "") for turn in turns]
    return [text or "" for text in texts]


def _question_and_answer(question: str, answer: str) -> list[Message]:
    return [message("user", question), message("assistant", answer)]


def _decided(prompt: list[Message], sides: list[Any], row: Row, column: str, found: Faults) -> Row:
    better = _vote(row, column)
    if better is None:
        add_fault(
            found, column, "P1", f"`{column}` {is_not('a vote', row[column])}", row[column], ""
        )
    chosen, rejected = reversed(sides) if better and better > 0 else sides
    read = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    read = (read if found else _cut(read)) | NO_SCORES
    return read | {"tie": f"`{column}` is for neither answer"} if better == 0 else read


def _cut(pair: Row) -> Row:
    """The pair without the prompt that its answers repeat."""
    return dict(zip(PAIR_SIDES, without_prompt(*(pair[side] for side in PAIR_SIDES)), strict=True))


def _vote(row: Row, column: str) -> float | None:
    """Below zero for the first answer, above for the second, zero for neither; None: no vote."""
    number = number_of(row[column])
    if column == "winner_model_a":
        return MARKED.get((number, number_of(row["winner_model_b"])))
    if column in BY_NUMBER:
        return BY_NUMBER[column].get(math.nan if number is None else number)
    told = str(row[column]).strip().lower() if number is None else f"{number:g}"
    met = WINNER.fullmatch(told)
    if met:
        return -1 if met[1] in "a1" else 1
    return 0 if NEITHER.fullmatch(told) else None


def _question(row: Row, column: str, found: Faults) -> list[Message]:
    read = read_asked if column == "instruction" else read_prompt
    return read(row, column, found)


def _answer(value: Any, what: str, column: str, found: Faults) -> list[Message] | None:
    text = read_text(value, what, column, found, "")
    return None if text is None else [message("assistant", text)]


def _are_objects(answers: str) -> Any:
    """Whether the answers are objects, rather than texts with their scores in a second list."""

    def fits(row: Row) -> bool:
        value = next(row[name] for name in answers.split("|") if name in row)
        return isinstance(value, list) and any(isinstance(one, dict) for one in value)

    return fits


JUDGED = (
    Shape(
        "scored-answers",
        "answers with their scores",
        "pairs",
        (QUESTIONS, ANSWERS),
        _scored_objects,
        _are_objects(ANSWERS),
    ),
    Shape(
        "scored-answers", "answers and scores", "pairs", (QUESTIONS, ANSWERS, SCORES), _scored_lists
    ),
    Shape("vote", "arena votes", "pairs", ("conversation_a", "conversation_b", "winner"), _arena),
    Shape(
        "vote",
        "arena votes as texts",
        "pairs",
        ("prompt", "response_a", "response_b", "winner_model_a", "winner_model_b"),
        _arena_texts,
    ),
    Shape(
        "vote",
        "two responses and a vote",
        "pairs",
        (QUESTIONS, "response_a|answer_a|output_a", "response_b|answer_b|output_b", VOTES),
        _voted,
    ),
    Shape(
        "vote",
        "two numbered responses and a vote",
        "pairs",
        (
            QUESTIONS,
            "response_1|response1|answer_1|output_1",
            "response_2|response2|answer_2|output_2",
            VOTES,
        ),
        _voted,
    ),
    Shape(
        "vote",
        "two responses and the better one's number",
        "pairs",
        (QUESTIONS, "response_0", "response_1", "better_response_id"),
        _voted,
    ),
    Shape(
        "vote", "SHP votes", "pairs", ("history", "human_ref_A", "human_ref_B", "labels"), _voted
    ),
)
