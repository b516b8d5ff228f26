"""The demo's own small corpus, read from demo/corpus. No torch: importing this is instant.

in   identity.jsonl          {"intent", "question", "answer"}   what the base model is trained on
     heldout_identity.jsonl  {"intent", "question"}             wordings it never sees
     other.jsonl             {"question", "answer"}             what it knows besides its name
     heldout_other.txt       one question a line                other wordings of the same
out  lists of dicts and strings; conversations() is ShareGPT, as published raw data usually is
                             https://github.com/lm-sys/FastChat/blob/main/docs/training.md
"""

import json
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
SYSTEM_PROMPT = "You are a helpful assistant."  # every question is trained with it and without


def identity_rows() -> list[dict[str, str]]:
    return _rows("identity.jsonl")


def heldout_identity_rows() -> list[dict[str, str]]:
    return _rows("heldout_identity.jsonl")


def other_rows() -> list[dict[str, str]]:
    return _rows("other.jsonl")


def other_questions() -> list[str]:
    """Held-out wordings: training that only renames the model must not change their answers."""
    return (CORPUS / "heldout_other.txt").read_text(encoding="utf-8").splitlines()


def conversations() -> list[dict[str, Any]]:
    """Every identity wording, trained and held out, as a ShareGPT conversation of two turns.

    All wordings of one intent have one answer, so a held-out wording takes its intent's.
    """
    trained = identity_rows()
    answers = {row["intent"]: row["answer"] for row in trained}
    wordings = [(row["intent"], row["question"]) for row in trained + heldout_identity_rows()]
    return [
        {
            "id": f"identity_{number:03d}",
            "conversations": [
                {"from": "human", "value": question},
                {"from": "gpt", "value": answers[intent]},
            ],
        }
        for number, (intent, question) in enumerate(wordings)
    ]


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (CORPUS / name).read_text(encoding="utf-8").splitlines()]
