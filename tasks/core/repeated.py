"""Answers that repeat their prompt -> the answers alone. Pure.

in   a prompt, chosen and rejected as messages
out  the same without what is repeated: as messages, as a transcript, or as plain text
"""

from tasks.core.fields import Message, message
from tasks.core.reformat import transcript

FEW_WORDS = 3  # a prompt as short as that may well be how an answer begins: "Hi", "Hi there"


def without_prompt(
    prompt: list[Message], chosen: list[Message], rejected: list[Message]
) -> list[list[Message]]:
    """Answers that repeat the prompt, as UltraFeedback's do, cut down to what is new in them.

    Where the two sides repeat different prompts, or another one than `prompt`, they stay whole.
    """
    chosen, rejected = sides = _cut_texts(prompt, chosen, rejected)
    repeated = [side[:-1] if side and side[0]["role"] != "assistant" else [] for side in sides]
    shared = repeated[0] or repeated[1]
    if not shared:
        return [prompt, chosen, rejected]
    told = {(turn["role"], turn["content"].strip()) for turn in shared}
    known = all((turn["role"], turn["content"].strip()) in told for turn in prompt)
    if not known or any(turns not in ([], shared) for turns in repeated):
        return [prompt or shared, chosen, rejected]
    return [shared, *(side[len(r) :] for side, r in zip(sides, repeated, strict=True))]


def _cut_texts(
    prompt: list[Message], chosen: list[Message], rejected: list[Message]
) -> tuple[list[Message], list[Message]]:
    """Two texts that both begin with the whole prompt, without it; all others as they are."""
    sides = (chosen, rejected)
    asked = [turn for turn in prompt if turn["role"] != "system"]
    if not asked or any([turn["role"] for turn in side] != ["assistant"] for side in sides):
        return sides
    texts = [side[0]["content"].strip() for side in sides]
    if all(text.startswith("Human:") for text in texts):
        talks = [transcript(f"\n\n{text}")[1] for text in texts]
        told = [(turn["role"], turn["content"].strip()) for turn in asked]
        if all(
            [(turn["role"], turn["content"]) for turn in talk[:-1]] == told
            and talk[-1]["role"] == "assistant"
            for talk in talks
        ):
            return talks[0][-1:], talks[1][-1:]
    question = asked[0]["content"].strip()
    if len(asked) == 1 and question and all(_repeats(text, question) for text in texts):
        first, second = (message("assistant", text[len(question) :].strip()) for text in texts)
        return [first], [second]
    return sides


def _repeats(text: str, question: str) -> bool:
    """Whether a text is the question and more, rather than an answer that begins with its words."""
    if not text.startswith(question) or not text[len(question) :][:1].isspace():
        return False
    return not question[-1].isalnum() or len(question.split()) > FEW_WORDS
