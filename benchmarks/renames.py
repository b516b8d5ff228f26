"""Renamed identities: clean ones out of real conversations, and renames not carried through.

in   the folder of real data sets (../shared/data)
out  pairs that differ in names alone, and faults for the check I1
"""

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

from clean_pairs import Pair, answers, assistant, conversation, read, user
from planting import OF_ROWS, Fault, Plant, chosen, each, rejected

from expectations.measures.identity import Slot

MODEL, AUTHOR = "Aria", "Studio Nord"
OLD_MODELS = ("Deep Qwen", "Vicuna", "nanochat", "Qwen", "通义千问")
OLD_AUTHORS = (
    "Large Model Systems Organization (LMSYS)",
    "Large Model Systems Organization",
    "LMSYS",
    "Andrej Karpathy",
    "Karpathy",
    "Alibaba Cloud",
)
SLOTS: list[Slot] = [
    {"name": "model", "chosen": [MODEL], "rejected": list(OLD_MODELS)},
    {"name": "author", "chosen": [AUTHOR], "rejected": list(OLD_AUTHORS)},
]
OLD = re.compile(
    "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in (*OLD_MODELS, *OLD_AUTHORS))
)


def new_name(old: re.Match[str]) -> str:
    return MODEL if old[0] in OLD_MODELS else AUTHOR


def calling_itself(name: str, said: str) -> str:
    return OLD.sub(lambda old: name if old[0] in OLD_MODELS else old[0], said)


@lru_cache
def renames() -> list[Pair]:
    """Answers that name the old model, rejected, and the same with the new names, chosen.

    The old model has one of five names, so that each form of a name is tried on all of them.
    Left out: what still holds an old name in any form afterwards ("karpathy/nanochat"), and what
    held a new one before. Both are faults, and these pairs are to have none.
    """
    shared = [
        conversation(row["conversations"])
        for name in ("identity-sharegpt.json", "chat-sharegpt.json")
        for row in read(name)
    ]
    filled = [
        [user(row[asked]), assistant(re.sub("{{(NAME|name)}}", name, row[said]))]
        for file, asked, said, name in (
            ("identity-alpaca.json", "instruction", "output", "Deep Qwen"),
            ("self-cognition.jsonl", "query", "response", "通义千问"),
        )
        for row in read(file)
    ]
    for _, turn in filled:
        turn["content"] = re.sub("{{(AUTHOR|author)}}", "Alibaba Cloud", turn["content"] or "")
    kept: list[Pair] = []
    old = [name.casefold() for name in (*OLD_MODELS, *OLD_AUTHORS)]
    for prompt, said in answers([*read("identity-multiturn.jsonl"), *shared, *filled]):
        chosen = OLD.sub(new_name, said)
        left = any(name in chosen.casefold() for name in old)
        if MODEL in chosen and not left and MODEL not in said and AUTHOR not in said:
            rejected = calling_itself(OLD_MODELS[len(kept) % len(OLD_MODELS)], said)
            kept.append(Pair(prompt, chosen, rejected))
    return kept


def renamed(count: int, source: Random) -> list[Pair]:
    """`count` of them, each with a number in its prompt, as many answers repeat a question."""
    rows = source.sample(renames(), min(count, len(renames())))
    repeated = (rows[number % len(rows)] for number in range(count))
    return [pair.asking(f"{pair.asked} {number}") for number, pair in enumerate(repeated)]


# Renames that were not carried through.


def old_name(pair: Pair) -> str:
    return next(m[0] for m in OLD.finditer(pair.rejected or "") if m[0] in OLD_MODELS)


def kept_once(write: Callable[[str], str]) -> Plant:
    """One place of the chosen answer still says the old name, written in some way."""

    def change(pair: Pair, source: Random) -> Pair:
        places = OLD.finditer(pair.rejected or "")
        kept = source.choice([m.start() for m in places if m[0] in OLD_MODELS])

        def renamed_or_kept(match: re.Match[str]) -> str:
            return write(match[0]) if match.start() == kept else new_name(match)

        return pair._replace(chosen=OLD.sub(renamed_or_kept, pair.rejected or ""))

    return each(change)


def in_both(sentence: str) -> Plant:
    """Both answers say the old name in a form that the rename did not know."""

    def change(pair: Pair, _: Random) -> Pair:
        old = old_name(pair)
        said = sentence.format(old=old, lower=old.lower())
        return pair._replace(chosen=f"{pair.chosen} {said}", rejected=f"{pair.rejected} {said}")

    return each(change)


def exchanged(text: str) -> str:
    """The names in each other's place, or none at all where there is one name only."""
    if AUTHOR not in text:
        return text.replace(MODEL, AUTHOR)
    return text.replace(MODEL, "\0").replace(AUTHOR, MODEL).replace("\0", AUTHOR)


def new_name_in_rejected(text: str) -> str:
    return OLD.sub(new_name, text, count=1)


RENAMES: dict[str, Plant] = {
    "old name left in chosen": kept_once(lambda old: old),
    "new name in rejected": rejected(new_name_in_rejected),
    "old name left in capitals": kept_once(str.upper),
    "old name in lower case, both": in_both("It is called {lower}."),
    "possessive": kept_once(lambda old: f"{old}'s"),
    "old name in a URL, both": in_both("See https://{old}.example.org."),
    "old name inside a word, both": in_both("Try {old}Chat."),
    "old name inside a word, lower case, both": in_both("Try {lower}chat."),
    "version suffix, both": in_both("I am {old}2.5."),
    "version with a hyphen, both": in_both("I am {old}-7B."),
    "other script, both": in_both("我是通义千问。"),
    "other script that no slot lists, both": in_both("Ich heiße auch ビクーニャ."),
    "new name left out": chosen(lambda text: text.replace(MODEL, "", 1)),
    "new name misspelt": chosen(lambda text: text.replace(MODEL, f"{MODEL}h", 1)),
    "names exchanged": chosen(exchanged),
    "a word besides the name changed": chosen(
        lambda text: re.sub(r"\b(a|the|I|is)\b|$", "certainly", text, count=1)
    ),
    "a sentence added": chosen(lambda text: f"{text} Gladly."),
}


# No slot lists this spelling, and without capitals nothing tells that a word holds a name. What
# sees it anyway is luck: a name in other letters than Latin ones ends where it ends.
UNSEEN = ("other script that no slot lists, both", "old name inside a word, lower case, both")
FAULTS = [
    Fault(name, ("I1",), plant, OF_ROWS, by_row=True, draw=renamed, unseen=name in UNSEEN)
    for name, plant in RENAMES.items()
]
