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

# Double braces around one name of two letters or more: `{{ . }}` is a Go template that somebody
# asked about, `{{n}}` is LaTeX. Angle brackets only around the blanks that identity sets use:
# `<HTML>`, `<MASK>` and `vector<T>` are ordinary text.
PLACEHOLDER = (
    r"\{\{\s*[\p{L}_][\p{L}\p{N}_ -]*[\p{L}\p{N}_]\s*\}\}"
    r"|<(?:(?:YOUR|BOT|MODEL|AI|ASSISTANT|USER|COMPANY|TEAM|AUTHOR|DEVELOPER|CREATOR)[ _-]?)?"
    r"(?:NAME|AUTHOR|DEVELOPER|CREATOR|COMPANY|ORGANIZATION|ORGANISATION|MODEL|BOT|ASSISTANT)>"
)


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
        found = {
            side: pl.col(f"{side}_text").str.extract(f"({PLACEHOLDER})")
            for side in ("prompt", "chosen", "rejected")
        }
        return {
            side: pl.when(blank.is_not_null()).then(pl.format(f"{{}} in {side}", blank))
            for side, blank in found.items()
        }
