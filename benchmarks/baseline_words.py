"""One-sided features as one would count them in a notebook: Counters over sets of words.

in   DataFrame of question, chosen, rejected
out  how many features are tested, and how many S1 to S4 would name
"""

import re
from collections import Counter

import numpy as np
import pandas as pd
from scipy.stats import binom

SIDES = ("chosen", "rejected")
WORD = re.compile(r"<\|[^|\s]{1,40}\|>|\[/?inst\]|</?s>|[一-鿿]|[^\W一-鿿]+(?:['’][^\W一-鿿]+)*")
SHAPES = {
    "leading white space": re.compile(r"^\s"),
    "trailing white space": re.compile(r"\s$"),
    "tab": re.compile(r"\t"),
    "no-break space": re.compile("[\u00a0\u202f]"),
    "invisible character": re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]"),
    "bullet": re.compile(r"^\s*[-*•] ", re.M),
    "numbered list": re.compile(r"^\s*\d+[.)] ", re.M),
    "header": re.compile(r"^#{1,6} ", re.M),
    "bold": re.compile(r"\*\*[^*\n]+\*\*"),
    "code": re.compile("`"),
    "emoji": re.compile("[\U0001f300-\U0001faff\u2600-\u27bf\ufe0f]"),
    "blank line": re.compile(r"\n\s*\n"),
    "newline": re.compile(r"\n"),
    "double space": re.compile("  "),
    "carriage return": re.compile(r"\r"),
    "URL": re.compile(r"https?://|www\."),
    "lower-case start": re.compile(r"^\s*[a-z]"),
    "capitals": re.compile(r"[A-Z]{3}"),
    "non-ASCII": re.compile(r"[^\x00-\x7F]"),
    "role marker": re.compile(r"(?:Human|Assistant|User|System):"),
}


def one_sided_features(pairs: pd.DataFrame) -> dict[str, int | float]:
    """b, c and E by feature with one vote a prompt; purity, coverage, excess, Holm's p."""
    expected = chosen_by_length(pairs)
    chosen_only: Counter[str] = Counter()
    rejected_only: Counter[str] = Counter()
    by_length: Counter[str] = Counter()
    discordant: Counter[str] = Counter()
    repeated = pairs["question"].duplicated(keep=False).to_numpy()
    votes: dict[tuple[str, str], list[float]] = {}
    rows = zip(pairs["question"], pairs["chosen"], pairs["rejected"], strict=True)
    for (question, chosen, rejected), share, again in zip(rows, expected, repeated, strict=True):
        in_chosen, in_rejected = features(chosen), features(rejected)
        for only, vote, q in (
            (in_chosen - in_rejected, 1, share),
            (in_rejected - in_chosen, -1, 1 - share),
        ):
            discordant.update(only)
            if again:
                for feature in only:
                    votes.setdefault((question, feature), []).append(vote * (1 + q))
                continue
            (chosen_only if vote > 0 else rejected_only).update(only)
            for feature in only:
                by_length[feature] += q
    for (_, feature), cast in votes.items():
        sign = np.sign(np.sign(cast).sum())
        if sign:
            (chosen_only if sign > 0 else rejected_only)[feature] += 1
            by_length[feature] += float(np.mean(np.abs(cast) - 1))
    table = pd.DataFrame(
        {"b": chosen_only, "c": rejected_only, "E": by_length, "discordant": discordant}
    ).fillna(0)
    table["n"] = table["b"] + table["c"]
    table = table[table["n"] >= 10].copy()
    fewer = table[["b", "c"]].min(axis=1)
    table["p"] = (2 * binom.cdf(fewer, table["n"], 0.5)).clip(max=1)
    table = table.sort_values("p")
    table["p"] = (table["p"] * np.arange(len(table), 0, -1)).cummax().clip(upper=1)
    table["purity"] = table[["b", "c"]].max(axis=1) / table["n"]
    table["coverage"] = table["discordant"] / len(pairs)
    table["excess"] = (table["b"] - table["E"]).abs() / table["n"]
    accuracy = 0.5 + (table["b"] - table["E"]).abs() / pairs["question"].nunique()
    significant = table[table["p"] < 0.01]
    beyond = significant[significant["excess"] >= 0.25]
    weak = (beyond["purity"] >= 0.80) & (beyond["coverage"] >= 0.01)
    rare = (beyond["purity"] >= 0.90) & (beyond["coverage"] >= 0.001)
    perfect = (significant["purity"] >= 0.98) & (significant["coverage"] >= 0.10)
    return {
        "features": len(table),
        "S1": int(((beyond["purity"] >= 0.90) & (beyond["coverage"] >= 0.01)).sum()),
        "S2": int(perfect.sum()),
        "S3": int((accuracy[significant.index] >= 0.60).sum()),
        "S4": int((weak | rare).sum()),
    }


def features(text: str) -> set[str]:
    words = WORD.findall(text.lower())
    found = set(words)
    found.add(f"\tfirst word\t{words[0] if words else ''}")
    found.add(f"\tfirst two words\t{' '.join(words[:2])}")
    last = text.rstrip()[-1:]
    kind = "letter" if last.isalpha() else "digit" if last.isdigit() else last
    found.add(f"\tlast character\t{kind}")
    found.update(f"\tshape\t{name}" for name, pattern in SHAPES.items() if pattern.search(text))
    return found


def chosen_by_length(pairs: pd.DataFrame) -> np.ndarray:
    """Per pair, the chance that its chosen answer is the chosen one, judged by length alone."""
    chosen, rejected = (pairs[side].str.len() + 1 for side in SIDES)
    unequal = chosen != rejected
    ratio = np.log(chosen / rejected).abs()
    quintile = pd.qcut(ratio[unequal], 5, labels=False, duplicates="drop")
    longer = (chosen > rejected)[unequal]
    q = longer.groupby(quintile).transform("mean")
    expected = pd.Series(0.5, index=pairs.index)
    expected[unequal] = np.where(longer, q, 1 - q)
    return expected.to_numpy()
