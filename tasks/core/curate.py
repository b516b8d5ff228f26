"""Prompts -> preference pairs by correction: the model's own answer, and the same answer renamed.

in   {"row", "split", "prompt": [system, user]}
out  the same with "chosen" and "rejected"; each prompt with and without its system message

Rejected is what the model says now, so the two sides differ in the name and in nothing else: there
is nothing else to learn.
"""

import re
from collections import Counter
from collections.abc import Callable

from tasks.core.errors import InputError
from tasks.core.generate import Answer
from tasks.core.reformat import Message, Row, set_aside


def correction_pairs(
    rows: list[Row],
    ask: Callable[[list[list[Message]]], list[Answer]],
    old_name: str,
    new_name: str,
) -> tuple[list[Row], list[Row]]:
    """(pairs, set aside). `ask` answers conversations greedily."""
    asked = [
        row | {"prompt": prompt}
        for row in rows
        for prompt in with_and_without_system(row["prompt"])
    ]
    answers = ask([row["prompt"] for row in asked])
    pairs, aside = [], []
    for row, answer in zip(asked, answers, strict=True):
        renamed = rename(answer.text, old_name, new_name)
        if not answer.finished:
            aside.append(set_aside(row["row"], "answer cut off at the token limit", answer.text))
        elif not answer.text:
            aside.append(set_aside(row["row"], "empty answer", row["prompt"][-1]["content"]))
        elif renamed == answer.text:
            reason = f"nothing to correct: the answer does not say {old_name}"
            aside.append(set_aside(row["row"], reason, answer.text))
        elif left_over(renamed, old_name, new_name):
            reason = f"{old_name} is left with digits or in other case"
            aside.append(set_aside(row["row"], reason, answer.text))
        else:
            pairs.append(row | {"chosen": said(renamed), "rejected": said(answer.text)})
    return pairs, aside


def require_all_splits(pairs: list[Row], aside: list[Row]) -> None:
    """Raises InputError where a split has no pair left, with what became of the answers."""
    for split in ("train", "validation", "test"):
        if not any(row["split"] == split for row in pairs):
            why = Counter(row["reason"] for row in aside).most_common()
            told = "; ".join(f"{count} x {reason}" for reason, count in why)
            raise InputError(
                f"curation: no pair for {split} among {len(pairs)}; set aside: {told or 'none'}. "
                "Check curation.old_name and curation.max_new_tokens, or give more prompts."
            )


def with_and_without_system(prompt: list[Message]) -> list[list[Message]]:
    """A prompt as it is, and without its system message where it has one."""
    return [prompt, prompt[1:]] if prompt[0]["role"] == "system" else [prompt]


def said(text: str) -> list[Message]:
    """An answer as TRL's conversational form wants it."""
    return [{"role": "assistant", "content": text}]


def rename(text: str, old: str, new: str) -> str:
    """Replace a name as a whole word, but not where it already stands inside the new one.

    >>> rename("I am Qwen, not Qwen2 or Deep Qwen.", "Qwen", "Deep Qwen")
    'I am Deep Qwen, not Qwen2 or Deep Qwen.'
    """
    pattern = re.compile(rf"({_word(new)})|{_word(old)}")
    return pattern.sub(lambda found: found[0] if found[1] else new, text)


def says(text: str, name: str) -> bool:
    """Whether a text says a name as a whole word."""
    return re.search(_word(name), text) is not None


def says_bare(text: str, old: str, new: str) -> bool:
    """Whether a text says the old name anywhere but inside the new one."""
    return rename(text, old, new) != text


def left_over(text: str, old: str, new: str) -> bool:
    """Whether the old name is left with digits or in other case: Qwen2.5, qwen.ai.

    As the I1 check reads it, so that nothing is made which that check would refuse.
    """
    start = r"(?:^|[^A-Za-z])" if old[0].isascii() and old[0].isalpha() else ""
    end = r"(?:$|[^A-Za-z])" if old[-1].isascii() and old[-1].isalpha() else ""
    pattern = start + re.escape(old) + end
    return re.search(pattern, text.replace(new, "\ue000"), re.IGNORECASE) is not None


def _word(name: str) -> str:
    """Bounded where it begins or ends in ASCII; other scripts write no spaces between words."""
    before = r"(?<![0-9A-Za-z_])" if name[0].isascii() else ""
    after = r"(?![0-9A-Za-z_])" if name[-1].isascii() else ""
    return before + re.escape(name) + after
