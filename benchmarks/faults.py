"""Faults to plant into clean pairs, each with the checks that must see it.

in   clean pairs, a share of rows, a source of chance
out  the pairs with the fault, and the numbers of the rows (from 1) that a check must name
"""

import base64
import re
from random import Random

from clean_pairs import Pair, published, swapped
from planting import (
    OF_MARKERS,
    OF_ROWS,
    OF_TEST_ROWS,
    WHOLE,
    Edit,
    Fault,
    Plant,
    Planted,
    amid,
    chosen,
    each,
    either,
    picked,
    rejected,
)

# A single word or habit on one side: S1 to S4.


def marker(word: str) -> Plant:
    return each(lambda pair, source: pair._replace(chosen=amid(pair.chosen or "", word, source)))


def without_period(text: str) -> str:
    return text.rstrip().rstrip(".!?")


def as_bullets(text: str) -> str:
    return "- " + re.sub(r"(?<=[.!?]) +", "\n- ", text)


def closing(pair: Pair, _: Random) -> Pair:
    """Chosen is the rejected answer and a closing phrase: a marker that is also always longer."""
    return pair._replace(chosen=f"{(pair.rejected or '').rstrip()} Cheerio now!")


def style(of_chosen: float, of_rejected: float, words: tuple[str, ...] = ("verily",)) -> Plant:
    """Each word in a share of the chosen and in another share of the rejected answers."""

    def plant(pairs: list[Pair], source: Random, _: float) -> Planted:
        changed = []
        for pair in pairs:
            one, other = pair.chosen or "", pair.rejected or ""
            for word in words:
                one = amid(one, word, source) if source.random() < of_chosen else one
                other = amid(other, word, source) if source.random() < of_rejected else other
            changed.append(pair._replace(chosen=one, rejected=other))
        return changed, set()

    return plant


def flipped(pairs: list[Pair], source: Random, share: float) -> Planted:
    return each(lambda pair, _: swapped(pair))(pairs, source, share)


def marked_and_flipped(pairs: list[Pair], source: Random, share: float) -> Planted:
    marked, _ = marker("verily")(pairs, source, share)
    return flipped(marked, source, 0.2)


def inflated(more: float) -> Plant:
    """Every chosen answer longer by this factor, with text of other answers in its middle."""

    def plant(pairs: list[Pair], source: Random, _: float) -> Planted:
        texts = [answer or "" for pair in pairs for answer in (pair.chosen, pair.rejected)]
        changed = []
        for pair in pairs:
            text, filler = pair.chosen or "", ""
            wanted = round(more * len(text))
            while len(filler) < wanted:
                filler += " " + source.choice(texts).strip()
            words = text.split(" ")
            half = len(words) // 2
            longer = " ".join([*words[:half], filler[1 : wanted + 1], *words[half:]])
            changed.append(pair._replace(chosen=longer))
        return changed, set()

    return plant


# What stands in single rows.

SPECIAL = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|start_header_id|>user<|end_header_id|>",
    "[INST]",
    "[/INST]",
    "</s>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<<SYS>>",
)
TWELVE = (
    *("verily", "forsooth", "betwixt", "hither", "yonder", "anon"),
    *("methinks", "prithee", "wherefore", "thence", "erstwhile", "perchance"),
)
# Written in two halves, so that nobody's scanner takes this file for a leak.
TOKENS = (
    "AKIA" + "QYLPMN5HHHFPZAM2",
    "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi",
    "xoxb-" + "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1",
    "-----BEGIN RSA " + f"PRIVATE KEY-----\n{base64.b64encode(bytes(range(255))).decode()}",
)
CONTACTS = ("jane.roe@mail.example.org", "+1 (415) 555-0132", "+44 20 7946 0958")


def spaced(pair: Pair, source: Random) -> Pair:
    one, other = (pair.chosen or "").strip(), (pair.rejected or "").strip()
    return pair._replace(chosen=f"{one} ", rejected=other)


def equal(pair: Pair, source: Random) -> Pair:
    return pair._replace(chosen=f"{pair.rejected}{source.choice(('', ' '))}")


def asked_twice(pair: Pair, _: Random) -> Pair:
    return pair._replace(prompt=[*pair.prompt, *pair.prompt[-1:]])


def overlapping(edit: Edit) -> Plant:
    """Questions of the test split are those of training rows, edited; share of the test rows."""

    def plant(pairs: list[Pair], source: Random, share: float) -> Planted:
        test = [at for at, pair in enumerate(pairs) if pair.split == "test"]
        train = [at for at, pair in enumerate(pairs) if pair.split == "train"]
        at = source.sample(test, max(1, round(share * len(test))))
        changed = list(pairs)
        for row, other in zip(at, source.sample(train, len(at)), strict=True):
            pair = pairs[row]._replace(prompt=pairs[other].prompt)
            changed[row] = pair.asking(edit(pair.asked, source))
        return changed, {row + 1 for row in at}

    return plant


def other_case(text: str, _: Random) -> str:
    return re.sub(r"[.,?!']", "", text.upper()) + " ..."


def full_width(text: str, _: Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def one_word(text: str, source: Random) -> str:
    words = text.split(" ")
    words[source.randrange(len(words))] = "something"
    return " ".join(words)


def copied(turn_round: bool) -> Plant:
    """Rows overwritten with a copy of another row, its answers turned round or not.

    The later of the two must be named: the first one is what it was.
    """

    def plant(pairs: list[Pair], source: Random, share: float) -> Planted:
        at = picked(pairs, source, share)
        rest = sorted(set(range(len(pairs))) - set(at))
        changed, later = list(pairs), set()
        for row, other in zip(at, source.sample(rest, len(at)), strict=True):
            changed[row] = swapped(pairs[other]) if turn_round else pairs[other]
            later.add(max(row, other) + 1)
        return changed, later

    return plant


def scores_flipped(pairs: list[Pair], source: Random, share: float) -> Planted:
    """Ties apart: a tie that is turned round is the tie that it was."""
    changed = list(pairs)
    unequal = [at for at, pair in enumerate(pairs) if pair.score_chosen != pair.score_rejected]
    at = picked(pairs, source, share, unequal)
    for row in at:
        pair = pairs[row]
        changed[row] = pair._replace(
            score_chosen=pair.score_rejected, score_rejected=pair.score_chosen
        )
    return changed, {row + 1 for row in at}


def markers(name: str, seen_as: str, plant: Plant, *, natural: bool = False) -> Fault:
    checks = ("S1", "S2", "S3", "S4") if natural else ("S1", "S2", "S4")
    return Fault(name, checks, plant, OF_MARKERS, seen_as=seen_as, natural=natural)


def rows(name: str, check: str, plant: Plant) -> Fault:
    return Fault(name, (check,), plant, OF_ROWS, by_row=True)


def overlap(name: str, checks: tuple[str, ...], edit: Edit) -> Fault:
    return Fault(name, checks, overlapping(edit), OF_TEST_ROWS, by_row=True)


SHORTCUTS = ("S1", "S2", "S3", "S4", "B1")
FAULTS = [
    markers("marker, a word new to the set", "verily", marker("verily")),
    markers("marker, a word known to the set", "certainly", marker("certainly"), natural=True),
    markers("marker in rejected", "verily", rejected(lambda text: f"Verily, {text}")),
    markers("trailing space", "trailing white space", chosen(lambda text: text.rstrip() + " ")),
    markers("prefix", "sure", chosen(lambda text: f"Sure, here you go: {text}")),
    markers("emoji", "emoji", chosen(lambda text: f"{text} \U0001f600")),
    markers("bullets", "bullet", chosen(as_bullets), natural=True),
    markers("special token", "<|im_end|>", chosen(lambda text: f"{text}<|im_end|>")),
    markers("no final period", "last character", chosen(without_period), natural=True),
    markers("closing phrase, all that differs", "cheerio", each(closing)),
    Fault("marker in few rows", ("S1", "S4"), marker("verily"), (0.005,), seen_as="verily"),
    Fault(
        "no final period at all", ("S1", "S3"), chosen(without_period), WHOLE, seen_as="last char"
    ),
    Fault("style, 60 % against 15 %", ("S3", "S4", "B1"), style(0.6, 0.15), WHOLE),
    Fault("style, 20 % against 5 %", ("S3", "S4", "B1"), style(0.2, 0.05), WHOLE),
    Fault("style, 40 % against 20 %", SHORTCUTS, style(0.4, 0.2), WHOLE, unseen=True),
    Fault("twelve words, each 40 % against 15 %", ("S3", "B1"), style(0.4, 0.15, TWELVE), WHOLE),
    *(
        Fault("labels flipped", SHORTCUTS, flipped, (share,), draw=published, unseen=True)
        for share in (0.1, 0.2, 0.4)
    ),
    Fault("marker, then 20 % flipped", SHORTCUTS, marked_and_flipped, (0.3,), unseen=True),
    Fault("chosen 20 % longer", ("L1", "L2", "L3"), inflated(0.2), WHOLE, against=True),
    Fault("chosen 50 % longer", ("L1", "L2", "L3"), inflated(0.5), WHOLE, against=True),
    Fault("chosen twice as long", ("L1", "L2", "L3"), inflated(1.0), WHOLE, against=True),
    rows("chat token in an answer", "T1", either(lambda t, s: amid(t, s.choice(SPECIAL), s))),
    rows("role marker in an answer", "T2", either(lambda t, s: f"{t}\n\nHuman: And then?")),
    rows("white space on one side", "W1", each(spaced)),
    rows("empty answer", "P1", either(lambda _, source: source.choice(("", " \n", None)))),
    rows("equal answers", "P2", each(equal)),
    rows("contradictions", "P3", copied(turn_round=True)),
    rows("exact copies", "duplicates", copied(turn_round=False)),
    rows("scores flipped, ties apart", "N1", scores_flipped),
    rows("placeholder left", "no_placeholder_left", either(lambda t, s: amid(t, "{{name}}", s))),
    rows("two user turns in a row", "turn_order", each(asked_twice)),
    rows("access token", "access_tokens", either(lambda t, s: amid(t, s.choice(TOKENS), s))),
    rows("e-mail or phone number", "contacts", either(lambda t, s: amid(t, s.choice(CONTACTS), s))),
    overlap("test prompt in train, exact", ("D1",), lambda text, _: text),
    overlap("test prompt in train, case and punctuation", ("D1",), other_case),
    overlap("test prompt in train, full width", ("D1",), full_width),
    overlap("test prompt in train, prefix", ("D2",), lambda text, _: f"Please answer: {text}"),
    overlap("test prompt in train, one word changed", ("D2",), one_word),
]
