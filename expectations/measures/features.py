"""What can be found in an answer without understanding it: its words and its shape.

in   texts
out  `features`, what it is called; `hashed`, the same by hash for both answers of many pairs;
     `named`, the way back
"""

import polars as pl

from expectations.measures.identity import SIDES, Side

# Chat tokens whole, Han by the character (it writes no spaces), else runs of letters and digits.
WORD = r"<\|[^|\s]{1,40}\|>|\[/?inst\]|</?s>|\p{Han}|[\p{L}\p{M}\p{N}_'’--\p{Han}]+"

# A shape is written "\tkind\tvalue" among the words of a text; no word holds a tab.
SHAPES = {
    "leading white space": r"^\s",
    "trailing white space": r"\s$",
    "header": r"(?m)^#{1,6} ",
    "bold": r"\*\*[^*\n]+\*\*",
    "code": "`",
    "blank line": r"\n\s*\n",
    "newline": r"\n",
    "double space": "  ",
    "carriage return": r"\r",
    "tab": r"\t",
    "URL": r"https?://|www\.",
    "lower-case start": r"^\s*\p{Ll}",
    "capitals": r"[A-Z]{3}",
    "role marker": r"(?:Human|Assistant|User|System):",
}
LINE_STARTS = {"bullet": r"\s*[-*•] ", "numbered list": r"\s*\d+[.)] "}
# Looked for where anything is beyond ASCII: these searches are slow.
BEYOND_ASCII = {
    "emoji": r"\p{Emoji_Presentation}|\x{FE0F}",
    "no-break space": r"[\x{A0}\x{202F}]",
    "invisible character": r"[\x{AD}\x{200B}-\x{200F}\x{2060}\x{FEFF}]",
}
PUNCTUATION = list(".!?…:;,)\"'*`")  # at the end of an answer each is a class of its own


def features(answer: pl.Expr) -> pl.Expr:
    """The set of everything found in an answer, as a list of strings."""
    words = words_of(answer)
    shape = [
        *_kinds(answer, words).values(),
        *(pl.when(found).then(pl.lit(name)) for name, found in _habits(answer).items()),
    ]
    return words.list.concat(pl.concat_list(shape).list.drop_nulls())


def named(answers: pl.Series) -> dict[int, str]:
    """Hash -> what it is called: every habit, and everything else that is found in some answers."""
    answer, words = pl.col("answer"), pl.col("words")
    found = (
        pl.DataFrame({"answer": answers})
        .with_columns(words=words_of(answer))
        .select(words.list.concat(pl.concat_list(*_kinds(answer, words).values())).explode())
        .to_series()
    )
    called = pl.concat([found.drop_nulls(), pl.Series(list(_habits(answer)))])
    return dict(zip(called.hash(), called, strict=True))


def words_of(answer: pl.Expr) -> pl.Expr:
    return answer.str.to_lowercase().str.extract_all(WORD)


def _kinds(answer: pl.Expr, words: pl.Expr) -> dict[str, pl.Expr]:
    """Features of which an answer has one each: kind -> "\\tkind\\tvalue"."""
    last = answer.str.strip_chars_end().str.tail(1)
    last_class = (
        pl.when(last.is_in(PUNCTUATION))
        .then(last)
        .when(last.str.contains(r"\p{L}"))
        .then(pl.lit("letter"))
        .when(last.str.contains(r"\p{N}"))
        .then(pl.lit("digit"))
        .otherwise(pl.lit("other"))
    )
    values = {
        "first word": words.list.first(),
        "first two words": words.list.head(2).list.join(" "),
        "last character": last_class,
    }
    return {kind: pl.format(f"\t{kind}\t{{}}", value) for kind, value in values.items()}


def _habits(answer: pl.Expr) -> dict[str, pl.Expr]:
    """Features that an answer has or has not: "\\tshape\\tname" -> bool."""
    beyond_ascii = answer.str.len_bytes() > answer.str.len_chars()
    only_those = pl.when(beyond_ascii).then(answer)
    habits = {name: answer.str.contains(pattern) for name, pattern in SHAPES.items()}
    for name, pattern in LINE_STARTS.items():  # two searches are six times as fast as (?m)^
        first, later = (answer.str.contains(f"{start}{pattern}") for start in ("^", r"\n"))
        habits[name] = first | later
    for name, pattern in BEYOND_ASCII.items():
        habits[name] = only_those.str.contains(pattern).fill_null(False)
    habits["non-ASCII"] = beyond_ascii
    return {f"\tshape\t{name}": found for name, found in habits.items()}


def hashed(answers: pl.DataFrame) -> dict[Side, pl.DataFrame]:
    """What `features` finds, by hash. For each side: words, a list; alike, one for all of them in
    their order; and a column for each shape, null where it is not."""
    # One column for both sides: of few rows the time goes into expressions, not into texts.
    answer, words = pl.col("answer"), pl.col("words")
    both = pl.DataFrame({"answer": pl.concat([answers[side] for side in SIDES], rechunk=True)})
    columns = {
        "words": words.list.eval(pl.element().hash()),
        "alike": pl.when(words.list.len() > 0).then(words.hash()).otherwise(answer.hash()),
    }
    kinds = {f"\t{kind}": value for kind, value in _kinds(answer, words).items()}
    for kind in kinds:
        columns[kind] = pl.when(pl.col(kind).is_not_null()).then(pl.col(kind).hash())
    for name, has in _habits(answer).items():
        columns[name] = pl.when(has).then(pl.lit(name).hash())
    found = both.with_columns(words=words_of(answer)).with_columns(**kinds).select(**columns)
    return {"chosen": found.head(answers.height), "rejected": found.tail(answers.height)}
