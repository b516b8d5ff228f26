"""Which scripts and languages do the rows hold, and do answers keep to that of their prompt?

in   Pairs; for the drift what `summary` remembers of a reference set
out  findings "languages" and "language_drift"

Scripts are read in every row. Languages written in Latin letters are told apart by their most
frequent short words, in the beginnings of chosen answers and in a sample of the rows: good enough
for shares of a set, not for one sentence. Their lists make the file long.
"""

import math
from collections import Counter
from typing import ClassVar, NamedTuple

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.length_bias import two_proportion_z
from expectations.measures.measure import Measure, rows_of
from expectations.measures.pairs import Pairs

# Name -> its letters. One or two Greek ones are a formula's.
SCRIPTS = {
    "Han": r"\p{Han}",
    "kana": r"[\p{Hiragana}\p{Katakana}]",
    "Hangul": r"\p{Hangul}",
    "Cyrillic": r"\p{Cyrillic}",
    "Arabic": r"\p{Arabic}",
    "Devanagari": r"\p{Devanagari}",
    "Greek": r"\p{Greek}{2}\p{Greek}",
    "Hebrew": r"\p{Hebrew}",
    "Thai": r"\p{Thai}",
    "other": r"[\p{Bengali}\p{Tamil}\p{Telugu}\p{Gujarati}\p{Gurmukhi}\p{Kannada}\p{Malayalam}"
    r"\p{Sinhala}\p{Khmer}\p{Lao}\p{Myanmar}\p{Tibetan}\p{Ethiopic}\p{Armenian}\p{Georgian}]",
}
# Scripts that put no space between words: each letter is counted like a word of the others.
UNSPACED = ("Han", "kana", "Thai")
# A cheap first look. Below U+0370 all letters are Latin; between U+2000 and U+2DFF stand the signs
# and quotation marks of ordinary English.
BEYOND_LATIN = (
    r"[\x{370}-\x{1CFF}\x{1F00}-\x{1FFF}\x{2E80}-\x{D7FF}\x{F900}-\x{FAFF}\x{FB1D}-\x{FDFF}"
    r"\x{FE70}-\x{FEFC}\x{FF66}-\x{FFDC}\x{20000}-\x{3FFFF}]"
)
LATIN = "Latin"
TEXTS = {"question": "question", "chosen": "chosen_text", "rejected": "rejected_text"}

SHOWN = 20  # rows named of a second language
SAMPLE = 20_000  # rows whose language is told: a share of 1 % is then known to 0.1 %
BEGINNING = 200  # characters of an answer, some thirty words
# The commonest short words of each language; some belong to several, the most hits decide.
WORDS = {
    "English": "the and is of to you that it with for are this your have can be i do not",
    "German": "der die und ist nicht das ein eine ich mit sie zu auf wir von den für",
    "French": "le les et est des une pour que vous dans je pas sur avec du il nous de la",
    "Spanish": "el la los las que una por para con es del como su lo más se y en de",
    "Italian": "il di che è per una sono con non del della gli ho questo mi come la",
    "Portuguese": "o os que é uma para com não em do da mais eu você se um de",
    "Dutch": "de het een en van is niet ik dat op te voor zijn met je wij",
    "Polish": "na nie się jest że jak jestem oraz przez dla czy tym może są od jego",
    "Swedish": "och att det är en som på jag för med av inte till den har ett",
    "Turkish": "ve bir bu için ile ben çok da ne olarak daha gibi var değil size",
    "Indonesian": "yang dan untuk dengan ini dari tidak adalah saya anda itu dalam pada akan",
}
LEAST_WORDS = 2  # of one language in a text that is said to be in it

SIGNIFICANT_Z = 3.3  # p < .001, two-sided: some twenty shares are compared


class Languages(Measure):
    check: ClassVar[str] = "languages"
    title: ClassVar[str] = "scripts and languages"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Reported: a set may speak several languages on purpose"
    )
    home_share: float = Field(
        0.9,
        gt=0.5,
        le=1,
        description="Share of rows with letters of a script from which on the set is in it; "
        "below, a row with letters beyond Latin is one worth a look",
    )
    other_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Share of answers in a second language written in Latin letters that is named; "
        "short words tell up to 1 % of English answers wrongly",
    )

    odd_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Rows with another script above which it is said: names and translations make "
        "up to 4 % of published English sets",
    )

    @property
    def promise(self) -> str:
        return "The rows are in one language, and answers are written in the script of the prompt."

    @property
    def threshold(self) -> str:
        return f"{self.odd_share:.0%} in another script, {self.other_share:.0%} another language"

    @property
    def remedy(self) -> str:
        return (
            "Keep what is meant to be there. Otherwise drop these rows: a few of them teach the "
            "model to change its language."
        )

    def judge(self, pairs: Pairs) -> Finding:
        told = languages(pairs)
        if not told.rows:
            return self.no_pairs()
        home = next((s for s, n in told.scripts.items() if n >= self.home_share * told.rows), LATIN)
        odd = _odd(pairs, told.beyond, home)
        many_odd = odd.height > self.odd_share * told.rows
        answers = sum(told.languages.values())
        shares = {name: count / answers for name, count in told.languages.items()}
        mixed = [name for name, share in list(shares.items())[1:] if share > self.other_share]
        named = odd
        if mixed:
            spoken = told.spoken.filter(pl.col("language").is_in(mixed)).select(
                "at", "row", "split", why=pl.format("an answer in {}", "language")
            )
            named = pl.concat([spoken, odd]) if many_odd else spoken
        observed: dict[str, Number] = {
            "pairs": told.rows,
            "rows": odd.height,
            "script": home,
            "answers_in_another_script": int(told.beyond["turns"].sum()),
            **{f"rows_with_{script}": count for script, count in told.scripts.items()},
            "answers_told": answers,
            **{f"share_{name}": share for name, share in shares.items()},
        }
        number = f"{rows_of(odd.height, told.rows)} beyond {home}"
        return self.found(
            not many_odd and not mixed,
            ", ".join([number, *(f"{shares[name]:.1%} {name}" for name in mixed)]),
            observed,
            broken=named,
            examples=pairs.examples(named),
        )


class LanguageDrift(Measure):
    check: ClassVar[str] = "language_drift"
    title: ClassVar[str] = "languages against reference"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field("warning", description="Reported: the mix may change on purpose")
    reference: dict[str, Number] = Field(description="Counts of the set that is compared with")

    @property
    def promise(self) -> str:
        return "Scripts and languages have the shares that they have in the reference set."

    @property
    def threshold(self) -> str:
        return f"two-proportion z at most {SIGNIFICANT_Z}"

    @property
    def remedy(self) -> str:
        return "Look at what was added since the reference, and at how it was collected."

    @classmethod
    def summary(cls, pairs: Pairs) -> dict[str, Number]:
        told = languages(pairs)
        counts: dict[str, Number] = {f"script {name}": n for name, n in told.scripts.items()}
        counts |= {f"language {name}": n for name, n in told.languages.items()}
        return counts | {"rows": told.rows, "answers": sum(told.languages.values())}

    def judge(self, pairs: Pairs) -> Finding:
        here, there = self.summary(pairs), self.reference
        if not here["rows"]:
            return self.no_pairs()
        observed: dict[str, Number] = {"pairs": here["rows"], "reference_pairs": there["rows"]}
        drifted = []
        for key in sorted(key for key in here | there if " " in key):
            kind, name = key.split(" ")
            of = "rows" if kind == "script" else "answers"
            now, before = ((float(c.get(key, 0)), float(c[of])) for c in (here, there))
            if abs(z := two_proportion_z(*now, *before)) > SIGNIFICANT_Z:
                observed[f"z_{name}"] = z
                drifted.append(f"{name} {before[0] / before[1]:.2%} to {now[0] / now[1]:.2%}")
        return self.found(not drifted, ", ".join(drifted) or "no share differs", observed)


class Told(NamedTuple):
    rows: int
    scripts: dict[str, int]  # beyond Latin: rows that hold any letter of it, the most first
    beyond: pl.DataFrame  # those rows: at, row, split, held: "Han, kana", turns: true or false
    languages: dict[str, int]  # answers of the sample, the most first
    spoken: pl.DataFrame  # the first of them in each language: at, row, split, language


def languages(pairs: Pairs) -> Told:
    """Everything in one pass over the texts."""

    def read() -> Told:
        rows, counts, beyond, first = 0, Counter[str](), [_NONE], _NONE_SPOKEN
        step = math.ceil(pairs.height / SAMPLE)
        for chunk in pairs.chunks():
            good = chunk.filter("good")
            rows += good.height
            beyond.append(_beyond(good))
            spoken = _spoken(good.filter(pl.col("at") % step == 0))
            counts.update(spoken["language"])
            first = pl.concat([first, spoken]).group_by("language", maintain_order=True).head(SHOWN)
        found = pl.concat(beyond)
        held = Counter(found["held"].str.split(", ").explode())
        return Told(rows, _by_count(held), found, _by_count(counts), first)

    return pairs.remember("languages", read)


_NONE = pl.DataFrame(
    schema={"at": pl.Int64, "row": pl.Int64, "split": pl.String, "held": pl.String}
    | {"turns": pl.Boolean}
)
_NONE_SPOKEN = pl.DataFrame(
    schema={"language": pl.String, "at": pl.Int64, "row": pl.Int64, "split": pl.String}
)


def _beyond(good: pl.DataFrame) -> pl.DataFrame:
    some = good.filter(pl.any_horizontal(pl.col(*TEXTS.values()).str.contains(BEYOND_LATIN)))
    if some.is_empty():
        return _NONE
    counts = {
        (name, script): pl.col(text).str.count_matches(
            letters if script in UNSPACED else f"{letters}+"
        )
        for name, text in TEXTS.items()
        for script, letters in (SCRIPTS | {LATIN: r"\p{Latin}"}).items()
    }
    some = some.select("at", "row", "split", **{f"{n}/{s}": e for (n, s), e in counts.items()})
    held = [
        pl.when(pl.any_horizontal(pl.col(f"{name}/{script}") > 0 for name in TEXTS)).then(
            pl.lit(script)
        )
        for script in SCRIPTS
    ]
    asked, *answers = (_main_script(name) for name in TEXTS)
    turns = pl.any_horizontal(asked != answer for answer in answers) | (answers[0] != answers[1])
    return some.select(
        "at",
        "row",
        "split",
        held=pl.concat_str(held, separator=", ", ignore_nulls=True),
        turns=turns.fill_null(False),
    ).filter(pl.col("held") != "")


def _main_script(name: str) -> pl.Expr:
    """A number for the script that a text is mostly in; null where it has no letters."""
    kana = pl.col(f"{name}/Han") + pl.col(f"{name}/kana")  # Japanese is written in both
    others = [pl.col(f"{name}/{script}") for script in (*SCRIPTS, LATIN) if script not in UNSPACED]
    counts = [kana, pl.col(f"{name}/Thai"), *others]
    return pl.when(pl.max_horizontal(counts) > 0).then(pl.concat_list(counts).list.arg_max())


def _odd(pairs: Pairs, beyond: pl.DataFrame, home: str) -> pl.DataFrame:
    """at, row, split, why: the rows that are not in the script of the set."""
    turned = beyond.filter("turns").select(
        "at", "row", "split", why=pl.format("prompt and answers in different scripts: {}", "held")
    )
    if home == LATIN:
        odd = beyond.select("at", "row", "split", why=pl.format("letters of {}", "held"))
    else:
        at_home = beyond.filter(pl.col("held").str.contains(home, literal=True))
        odd = (
            pairs.facts.filter("good")
            .join(at_home, on="at", how="anti")
            .select("at", "row", "split", why=pl.lit(f"no letters of {home}"))
        )
    return pl.concat([turned, odd]).unique("at", keep="first", maintain_order=True).sort("at")


def _spoken(rows: pl.DataFrame) -> pl.DataFrame:
    """language, at, row, split: of the rows that are told. Two languages with as many words in an
    answer leave it untold."""
    words = pl.DataFrame(
        [(word, name) for name, listed in WORDS.items() for word in listed.split()],
        schema=["word", "language"],
        orient="row",
    )
    hits = (
        rows.lazy()
        .select("at", word="chosen_text")
        .with_columns(pl.col("word").str.slice(0, BEGINNING).str.to_lowercase().str.split(" "))
        .explode("word")
        .join(words.lazy(), on="word")
        .group_by("at", "language")
        .len()
        .filter(pl.col("len") >= LEAST_WORDS, pl.col("len") == pl.col("len").max().over("at"))
        .filter(~pl.col("at").is_duplicated())
        .collect()
    )
    return rows.join(hits, on="at", maintain_order="left").select(_NONE_SPOKEN.columns)


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
