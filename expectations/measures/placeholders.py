"""Is a template's blank still unfilled?

in   Pairs
out  finding "no_placeholder_left". Identity sets ship with such blanks: {{name}}, {{author}} in
     https://github.com/hiyouga/LLaMA-Factory and {{NAME}}, {{AUTHOR}} in
     https://github.com/modelscope/ms-swift
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from expectations.measures.measure import RowMeasure
from expectations.measures.rarely import where

# Double braces around one word of two letters or more: `{{ . }}` is a Go template that somebody
# asked about, `{{n}}` is LaTeX. Around several words, and in angle brackets, only the blanks that
# identity sets use: {{Infobox person}}, `<HTML>`, `<MASK>` and `vector<T>` are ordinary text.
# Square brackets are no sign of anything: drafts of letters end with [Your Name].
BLANK = (
    r"(?:(?:YOUR|BOT|MODEL|AI|ASSISTANT|USER|COMPANY|TEAM|AUTHOR|DEVELOPER|CREATOR)[ _-]?)?"
    r"(?:NAME|AUTHOR|DEVELOPER|CREATOR|COMPANY|ORGANIZATION|ORGANISATION|MODEL|BOT|ASSISTANT)"
)
PLACEHOLDER = (
    rf"\{{\{{\s*(?:[\p{{L}}_][\p{{L}}\p{{N}}_-]*[\p{{L}}\p{{N}}_]|(?i:{BLANK}))\s*\}}\}}|<{BLANK}>"
)
# A program that somebody asked about may well write {{name}}.
CODE = r"(?s)```.*?(?:```|$)|`[^`\n]+`"
BEGINNING = r"\{\{|<[A-Z]"  # of all of them, and much quicker to look for


class Placeholders(RowMeasure):
    check: ClassVar[str] = "no_placeholder_left"
    title: ClassVar[str] = "unfilled placeholders"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return "No template placeholder such as {{name}} or <AUTHOR> is left in any message."

    @property
    def remedy(self) -> str:
        return (
            "Fill the placeholder in the reformat step, or drop the row: the model would learn "
            "to say the placeholder."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        whys = {}
        for side in ("prompt", "chosen", "rejected"):
            text = pl.col(f"{side}_text")
            left = text.str.replace_all(CODE, "").str.extract(f"({PLACEHOLDER})")
            why = pl.format(f"{{}} in {side}", left)
            whys[side] = where(text.str.contains(BEGINNING), why, f"{side}_text")
        return whys
