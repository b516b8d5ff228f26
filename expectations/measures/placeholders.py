"""Is a template's blank still unfilled?

in   frame of pairs (expectations/measures/pairs.py)
out  finding "no_placeholder_left". Identity sets ship with such blanks: {{name}}, {{author}} in
     https://github.com/hiyouga/LLaMA-Factory and {{NAME}}, {{AUTHOR}} in
     https://github.com/modelscope/ms-swift
"""

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import count_rows, text

# Double braces around one name of two letters or more: `{{ . }}` is a Go template that somebody
# asked about, `{{n}}` is LaTeX. Angle brackets only around the blanks that identity sets use:
# `<HTML>`, `<MASK>` and `vector<T>` are ordinary text.
PLACEHOLDER = (
    r"\{\{\s*[\p{L}_][\p{L}\p{N}_ -]*[\p{L}\p{N}_]\s*\}\}"
    r"|<(?:(?:YOUR|BOT|MODEL|AI|ASSISTANT|USER|COMPANY|TEAM|AUTHOR|DEVELOPER|CREATOR)[ _-]?)?"
    r"(?:NAME|AUTHOR|DEVELOPER|CREATOR|COMPANY|ORGANIZATION|ORGANISATION|MODEL|BOT|ASSISTANT)>"
)


def no_placeholder_left(frame: pl.DataFrame) -> Finding:
    broken = []
    for side in ("prompt", "chosen", "rejected"):
        found = text(side).str.extract(f"({PLACEHOLDER})")
        broken.append(pl.when(found.is_not_null()).then(pl.format(f"{{}} in {side}", found)))
    return count_rows(
        frame,
        pl.coalesce(broken),
        check="no_placeholder_left",
        promise="No template placeholder such as {{name}} or <AUTHOR> is left in any message.",
        remedy="Fill the placeholder in the reformat step, or drop the row: the model would learn "
        "to say the placeholder.",
    )
