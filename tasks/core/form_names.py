"""The forms of data by their names in a recipe; docs/forms.md shows each."""

from typing import Literal

FormName = Literal[
    "sharegpt",
    "messages",
    "message-list",
    "alpaca",
    "query-response",
    "prompt-only",
    "hh-rlhf",
    "preference",
    "implicit-prompt",
    "sharegpt-preference",
    "chosen-messages",
    "alpaca-preference",
    "scored-answers",
    "vote",
]
