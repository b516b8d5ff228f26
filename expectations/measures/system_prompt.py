"""Does the chat template put a system message into the rows that says what nobody meant?

in   Pairs; what the template adds where a conversation has no system message; slots of a rename
out  finding "system_prompt". Qwen2.5's template adds "You are Qwen, created by Alibaba Cloud.":
     https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct/blob/main/tokenizer_config.json
"""

import re
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.identity import Slot, masked, name_left
from expectations.measures.measure import Measure, several
from expectations.measures.pairs import Pairs

SAYS_WHO = re.compile(r"\b(?:[Yy]ou are|I am|[Nn]amed|[Cc]alled)\s+([A-Z]\w+)")  # not "a helpful"
SHOWN = 80  # characters of the system message


class SystemPrompt(Measure):
    check: ClassVar[str] = "system_prompt"
    title: ClassVar[str] = "template's system message"
    one_sided: ClassVar[bool] = True

    adds: str = Field(description='What the chat template puts there by itself, "" if nothing')
    slots: list[Slot] = Field([], description="A rename, which what the template adds may not undo")

    severity: Severity = Field(
        "warning",
        description="Said, not refused: pairs that answer under it with the new name are one cure",
    )

    @property
    def promise(self) -> str:
        return "What the chat template says of its own accord does not contradict the pairs."

    @property
    def threshold(self) -> str:
        return "no old name in it" if self.slots else "no name in it"

    @property
    def remedy(self) -> str:
        return (
            "Publish with a template that adds none, or keep pairs with and without a system "
            "message: whoever asks without one gets the template's own."
        )

    def judge(self, pairs: Pairs) -> Finding:
        if pairs.height == 0:
            return self.no_pairs()
        first = pl.col("prompt").list.first().struct.field("role")
        rows = pairs.select({"bare": (first != "system").fill_null(True)})
        bare = int(rows["bare"].sum())
        observed: dict[str, Number] = {
            "pairs": rows.height,
            "rows_without_system": bare,
            "adds": self.adds,
        }
        if not self.adds:
            return self.found(True, "the template adds none", observed)
        name, kind = self._name()
        said = self.adds if len(self.adds) <= SHOWN else self.adds[:SHOWN] + "…"
        get = "get" if rows.height != 1 else "gets"
        number = f"{bare:,} of {several(rows.height, 'row')} {get} {said!r}"
        if not name or (not bare and not self.slots):  # a rename is undone where no row is bare
            return self.found(True, number, observed)
        return self.found(False, f"{number}, {kind} {name}", observed | {"name": name})

    def _name(self) -> tuple[str, str]:
        """The name in what the template adds, and whose it is."""
        rest = masked(pl.lit(self.adds), self.slots, "chosen")
        if self.slots:
            old = pl.select(name_left(rest, self.slots, "rejected")).item()
            return str(old or ""), "the old name"
        says_who = SAYS_WHO.search(self.adds)
        return says_who[1] if says_who else "", "the name"
