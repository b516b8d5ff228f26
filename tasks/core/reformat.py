"""One row of any form -> preference rows, or the prompts that pairs will be made from. Pure.

in   a row as tasks.core.forms reads it, with its number; How
out  {"row", "prompt": [message], "chosen": [message], "rejected": [message], "score_chosen",
     "score_rejected"}   https://huggingface.co/docs/trl/dataset_formats
     a score is None where the source has none; one the wrong way round stays, for the checks
     {"row", "prompt": [message]} for conversations, which have no second answer yet
     rows of tasks.core.aside for what is set aside

A source row is used or set aside, never both: a conversation with one damaged turn goes as a whole.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tasks.core.aside import set_aside
from tasks.core.fields import Faults, Form, Message, Row
from tasks.core.placeholders import fill

if TYPE_CHECKING:
    from tasks.core.settings import Reformat

TURN = re.compile(r"\n\n(Human|Assistant):")
# What checks T2 finds: a transcript that goes on within an answer, however the line begins.
ROLE_MARKER = re.compile(r"\b(?:Human|Assistant):")
# In answers that were no transcripts a marker inside a line is a mention, which T2 reports.
LINE_MARKER = re.compile(r"^[ \t]*(?:Human|Assistant):", re.MULTILINE)
HH_ROLES = {"Human": "user", "Assistant": "assistant"}
SCORES = ("score_chosen", "score_rejected")
REASONS_TOLD = 3
AFTER_MARKER = 100  # characters
FOLLOWS = {  # role -> what may come next
    "": ("user",),  # before the first turn
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
    "system": ("user", "assistant"),  # it stands where it should not, which is told by itself
}


@dataclass(frozen=True)
class How:
    """What a recipe says about rewriting; each is told in tasks.core.settings.Reformat."""

    turns: Literal["last", "every"]
    system: Literal["keep", "replace", "drop"] | None
    system_prompt: str
    placeholders: Mapping[str, str]
    least_margin: float
    prompts_only: bool = False  # of pairs: their answers are made anew, so what they are is all one

    @classmethod
    def of(cls, told: "Reformat", prompts_only: bool = False) -> "How":
        return cls(**told.model_dump(exclude={"form"}), prompts_only=prompts_only)

    def out(self, form: Form) -> Form:
        """The form of the rows that come out."""
        return "conversations" if self.prompts_only else form


@dataclass(frozen=True)
class Unfit:
    """Why a row goes no further."""

    code: str
    reason: str
    text: str


def rewrite_row(form: Form, row: Row, how: How) -> tuple[list[Row], list[Row]]:
    """(rows out, set aside): one of the two is empty, and what is set aside is one row."""
    made: list[Row] | Unfit
    if form == "conversations":
        made = _questions(row["conversations"], how, is_prompt=row.get("is_prompt", False))
    else:
        pair = _transcript_pair(row) if form == "hh" else row
        marker = ROLE_MARKER if form == "hh" else LINE_MARKER
        if isinstance(pair, Unfit):
            made = pair
        else:
            made = _prompt_alone(pair, how) if how.prompts_only else _pair(pair, how, marker)
    if isinstance(made, Unfit):
        return [], [set_aside(row["row"], made.code, made.reason, made.text)]
    return [{"row": row["row"]} | one for one in made], []


def aside_of_faults(number: int, faults: Faults) -> Row:
    """A row with defects (tasks.core.forms) as one that is set aside."""
    first = faults[0]
    code = "turn-order" if first["check"] == "turn_order" else "damaged"
    told = [fault["reason"] for fault in faults[:REASONS_TOLD]]
    more = [f"and {len(faults) - len(told)} more"] if len(faults) > len(told) else []
    return set_aside(number, code, "; ".join(told + more), first["text"])


def transcript(text: str) -> tuple[str, list[Message]]:
    r"""(what stands before the first marker, turns without outer white space).

    >>> transcript("\n\nHuman: hi\n\nAssistant: hello")
    ('', [{'role': 'user', 'content': 'hi'}, {'role': 'assistant', 'content': 'hello'}])
    """
    before, *parts = TURN.split(text)  # [before, role, content, role, content ...]
    turns = zip(parts[::2], parts[1::2], strict=True)
    return before, [{"role": HH_ROLES[role], "content": said.strip()} for role, said in turns]


def prompt_fault(prompt: list[Message]) -> Unfit | None:
    """Why a prompt cannot be answered, with the turn that is to blame, or None.

    It is [system], user, assistant, user, ..., and after an assistant turn there may stand what
    tools said; the last word is the user's, or a tool's.
    """
    turns = prompt[1:] if prompt and prompt[0]["role"] == "system" else prompt
    if not any(turn["role"] == "user" for turn in turns):
        return Unfit("no-prompt", "the prompt holds no user turn", _last_of(prompt))
    if turns[-1]["role"] not in ("user", "tool"):
        return Unfit("turn-order", "the prompt does not end with a user turn", _last_of(turns))
    return _turn_fault(turns)


def _last_of(turns: list[Message]) -> str:
    return turns[-1]["content"] if turns else ""


def _turn_fault(turns: list[Message]) -> Unfit | None:
    before = ""
    for number, turn in enumerate(turns, start=1):
        role = turn["role"]
        if role not in FOLLOWS[before]:
            reason = f"turn {number} of the prompt is {role}, not {FOLLOWS[before][0]}"
            return Unfit("turn-order", reason, turn["content"])
        if role != "tool" and not turn["content"].strip():
            code = "empty-answer" if role == "assistant" else "no-prompt"
            before_it = turns[number - 2]["content"] if number > 1 else ""
            return Unfit(code, f"turn {number} of the prompt is empty", before_it)
        before = role
    return None


def _questions(turns: list[Message], how: How, *, is_prompt: bool) -> list[Row] | Unfit:
    """The last question of a conversation, or all before each answer; of a prompt the whole."""
    turns = [turn | {"content": turn["content"].strip()} for turn in turns]
    system = turns[:1] if turns and turns[0]["role"] == "system" else []
    asked = [number for number, turn in enumerate(turns) if turn["role"] == "user"]
    if not asked:
        return Unfit("no-prompt", "no human turn", _last_of(turns))
    prompts = [turns] if is_prompt else [[*system, turns[asked[-1]]]]
    if how.turns == "every" and not is_prompt:
        prompts = [turns[:at] for at, turn in enumerate(turns) if turn["role"] == "assistant"]
    others = turns[len(system) :]
    if others[0]["role"] == "assistant":  # also where its last question alone could be asked
        reason = "the conversation begins with an assistant turn"
        return Unfit("turn-order", reason, others[0]["content"])
    if not prompts:
        return Unfit("turn-order", "no assistant turn (reformat.turns: every)", _last_of(turns))
    made: list[Row] = []
    for prompt in prompts:
        told = _filled(_with_system(prompt, how, "replace"), how)
        fault = prompt_fault(told)
        if fault:
            return fault
        made.append({"prompt": told})
    return made


def _transcript_pair(row: Row) -> Row | Unfit:
    """An HH-RLHF row as a pair: the prompt is the shared prefix up to the last assistant turn."""
    sides = {}
    for side in ("chosen", "rejected"):
        text = row[side]
        before, turns = transcript(text)
        if before.strip():
            return Unfit("turn-order", f"{side} has text before its first turn", text)
        if not turns or turns[-1]["role"] != "assistant":
            return Unfit("turn-order", f"{side} does not end with an assistant turn", text)
        sides[side] = turns
    chosen, rejected = sides["chosen"], sides["rejected"]
    if chosen[:-1] != rejected[:-1]:
        reason = "the two prompts differ before the last assistant turn"
        return Unfit("prompts-differ", reason, row["chosen"])
    ends = {"chosen": chosen[-1:], "rejected": rejected[-1:]}
    return row | ends | {"prompt": chosen[:-1]}


def _prompt_alone(row: Row, how: How) -> list[Row] | Unfit:
    prompt = _filled(_with_system(row["prompt"], how, "keep"), how)
    return prompt_fault(prompt) or [{"prompt": prompt}]


def _pair(row: Row, how: How, role_marker: re.Pattern[str]) -> list[Row] | Unfit:
    """A pair that can teach: a conversation that ends with the user, two answers that differ."""
    sides = {side: _filled(row[side], how) for side in ("chosen", "rejected")}
    prompt = _filled(_with_system(row["prompt"], how, "keep"), how)
    for side, turns in sides.items():
        if turns and turns[0]["role"] != "assistant" and turns[-1]["role"] == "assistant":
            reason = f"{side} begins with other turns than the prompt"
            return Unfit("prompts-differ", reason, turns[0]["content"])
    for side, turns in sides.items():
        marker = role_marker.search(_last_of(turns))
        if marker:
            reason = f'"{marker.group().strip()}" in the {side} answer'
            return Unfit("role-marker", reason, marker.string[: marker.end() + AFTER_MARKER])
    fault = prompt_fault(prompt)
    if fault:
        return fault
    for side, turns in sides.items():
        if not turns:
            return Unfit("empty-answer", f"no turn in {side}", _last_of(prompt))
        if [turn["role"] for turn in turns] != ["assistant"]:
            return Unfit("turn-order", f"{side} is not one assistant turn", _last_of(turns))
        if not turns[0]["content"].strip():
            return Unfit("empty-answer", f"empty {side} answer", _last_of(prompt))
    chosen, rejected = (turns[0]["content"] for turns in sides.values())
    if chosen.strip() == rejected.strip():
        return Unfit("same-answers", "chosen and rejected are the same", chosen)
    scores = {name: row.get(name) for name in SCORES}
    if any(score is not None for score in scores.values()):
        for name, score in scores.items():
            if score is None or not math.isfinite(score):
                reason = f"`{name}` is {'missing' if score is None else score}, not a number"
                return Unfit("damaged", reason, chosen)
    tie = _tie(row, how)
    if tie:
        return Unfit("tie", tie, chosen)
    return [{"prompt": prompt, **sides, **scores}]


def _tie(row: Row, how: How) -> str | None:
    """Why neither answer is the better one, or None; most pairs come without scores."""
    if row.get("tie"):
        return str(row["tie"])
    chosen, rejected = row.get("score_chosen"), row.get("score_rejected")
    if chosen is None or rejected is None:
        return None
    if abs(chosen - rejected) <= how.least_margin:
        return f"scores {chosen:g} and {rejected:g}, {how.least_margin:g} apart at most"
    return None


def _with_system(
    turns: list[Message], how: How, otherwise: Literal["keep", "replace"]
) -> list[Message]:
    system = how.system or otherwise
    if system == "keep":
        return turns
    others = [turn for turn in turns if turn["role"] != "system"]
    return others if system == "drop" else [message_of_system(how), *others]


def message_of_system(how: How) -> Message:
    return {"role": "system", "content": how.system_prompt}


def _filled(turns: list[Message], how: How) -> list[Message]:
    if not how.placeholders:
        return turns
    return [turn | {"content": fill(turn["content"], how.placeholders)} for turn in turns]
