"""The checks of a suite as one would write them in a notebook: pandas, scikit-learn, plain Python.

in   parquet file of preference pairs: row, split, prompt, chosen, rejected
out  seconds by group of checks, and what was found, to compare with the measures of expectations

Written to be clear, with the usual tools used well: vectorised string methods, `re` compiled once,
Counter over sets of words, one sparse matrix for the bag of words, MinHash in numpy. Left out is
what Great Expectations or a notebook has no short form for; the measures are asked for all of it.
"""

import re
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from baseline_words import one_sided_features
from scipy.sparse import vstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

SIDES = ("chosen", "rejected")
SPECIAL_TOKEN = r"<\|[^|<>\s]{2,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?s>"
ROLE_MARKER = r"\b(?:Human|Assistant):"
PLACEHOLDER = r"\{\{\s*\w[\w -]*\w\s*\}\}|<(?:YOUR )?(?:NAME|AUTHOR|COMPANY|MODEL|BOT)>"
EMAIL = r"[\w.%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
PHONE = r"\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]\d{2,4})+|\(?\d{3}\)?[ .-]\d{3}[.-]\d{4}"
TOKEN = (
    r"hf_[A-Za-z0-9]{34}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}|AKIA[0-9A-Z]{16}"
    r"|xox[abp]-[\w-]{10,}|sk_live_\w{24}|sk-[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]+"
)
SCRIPTS = {
    "Han": r"[\u4e00-\u9fff]",
    "kana": r"[\u3040-\u30ff]",
    "Hangul": r"[\uac00-\ud7af]",
    "Cyrillic": r"[\u0400-\u04ff]",
    "Arabic": r"[\u0600-\u06ff]",
    "Devanagari": r"[\u0900-\u097f]",
    "Greek": r"[\u0370-\u03ff]{3}",
    "Hebrew": r"[\u0590-\u05ff]",
    "Thai": r"[\u0e00-\u0e7f]",
}
STOP_WORDS = {
    "English": "the and is of to you that it with for are this your have can be i do not",
    "German": "der die und ist nicht das ein eine ich mit sie zu auf wir von den für",
    "French": "le les et est des une pour que vous dans je pas sur avec du il nous de la",
    "Spanish": "el la los las que una por para con es del como su lo más se y en de",
    "Italian": "il di che è per una sono con non del della gli ho questo mi come la",
    "Portuguese": "o os que é uma para com não em do da mais eu você se um de",
}
SAMPLE = 20_000
PERMUTATIONS = 16
PRIME = (1 << 31) - 1


class Notebook:
    def __init__(self, path: Path) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.found: dict[str, int | float] = {}
        with self.timed("reading"):
            self.pairs = read(path)

    @contextmanager
    def timed(self, group: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[group] += time.perf_counter() - start

    def run(self) -> None:
        with self.timed("single rows"):
            self.rows()
        with self.timed("repeats"):
            self.repeats()
        with self.timed("languages"):
            self.languages()
        with self.timed("words and shape"):
            self.found |= one_sided_features(self.pairs)
        with self.timed("bag of words"):
            self.bag_of_words()
        with self.timed("lengths"):
            self.lengths()
        with self.timed("prompts in splits"):
            self.splits()
            self.near()

    def rows(self) -> None:
        pairs = self.pairs
        roles = pairs["roles"]
        self.found["turn_order"] = int((~roles.str.fullmatch(r"(s,)?u(,a,u)*")).sum())
        stripped = {side: pairs[side].str.strip() for side in SIDES}
        self.found["P1"] = int(((stripped["chosen"] == "") | (stripped["rejected"] == "")).sum())
        self.found["P2"] = int((stripped["chosen"] == stripped["rejected"]).sum())
        for check, pattern, sides in (
            ("T1", SPECIAL_TOKEN, SIDES),
            ("T2", ROLE_MARKER, SIDES),
            ("no_placeholder_left", PLACEHOLDER, ("prompt", *SIDES)),
            ("contacts", f"{EMAIL}|{PHONE}", ("prompt", *SIDES)),
            ("access_tokens", TOKEN, ("prompt", *SIDES)),
        ):
            hits = [pairs[side].str.contains(pattern) for side in sides]
            self.found[check] = int(np.logical_or.reduce(hits).sum())
        outer = {
            side: (pairs[side].str.contains(r"^\s"), pairs[side].str.contains(r"\s$"))
            for side in SIDES
        }
        differs = [a != b for a, b in zip(outer["chosen"], outer["rejected"], strict=True)]
        self.found["W1"] = int(np.logical_or.reduce(differs).sum())

    def repeats(self) -> None:
        pairs = self.pairs
        texts = pairs[["prompt", *SIDES]].apply(lambda column: column.str.strip())
        self.found["duplicates"] = int(texts.duplicated().sum())
        swapped = texts.rename(columns={"chosen": "rejected", "rejected": "chosen"})
        unequal = texts[texts["chosen"] != texts["rejected"]]
        self.found["P3"] = len(unequal.merge(swapped, on=["prompt", *SIDES]))
        self.found["diversity"] = int(texts["prompt"].nunique() + texts["chosen"].nunique())
        texts["chosen"].value_counts().head(1)

    def languages(self) -> None:
        pairs = self.pairs
        scripts = {
            (side, name): pairs[side].str.contains(pattern)
            for side in ("prompt", *SIDES)
            for name, pattern in SCRIPTS.items()
        }
        other = [
            scripts["prompt", name] != scripts[side, name] for side in SIDES for name in SCRIPTS
        ]
        self.found["languages"] = int(np.logical_or.reduce(other).sum())
        sample = pairs["chosen"].sample(min(SAMPLE, len(pairs)), random_state=0).str[:200]
        stop_words = {name: set(words.split()) for name, words in STOP_WORDS.items()}

        def language(text: str) -> str:
            words = text.lower().split()
            hits = {name: sum(w in known for w in words) for name, known in stop_words.items()}
            best = max(hits, key=lambda name: hits[name])
            return best if hits[best] >= 2 else "unknown"

        sample.map(language).value_counts()

    def bag_of_words(self) -> None:
        pairs = self.pairs
        sample = pairs.sample(min(SAMPLE, len(pairs)), random_state=0)
        words = CountVectorizer(binary=True, min_df=2)
        words.fit(pd.concat([sample["chosen"], sample["rejected"]]))
        difference = words.transform(sample["chosen"]) - words.transform(sample["rejected"])
        flipped = np.random.default_rng(0).random(len(sample)) < 0.5
        signs = np.where(flipped, -1, 1)
        matrix = vstack([row * sign for row, sign in zip(difference, signs, strict=True)]).tocsr()
        groups = sample["chosen"].map(normalised)
        scores = cross_val_score(
            LogisticRegression(fit_intercept=False, max_iter=200),
            matrix,
            ~flipped,
            groups=groups,
            cv=GroupKFold(5),
        )
        self.found["B1"] = float(scores.mean())

    def lengths(self) -> None:
        chosen, rejected = (self.pairs[side].str.len() for side in SIDES)
        unequal = chosen != rejected
        self.found["L1"] = float((chosen > rejected)[unequal].mean())
        self.found["ratio"] = float(chosen.mean() / rejected.mean())
        np.histogram(np.log2((chosen + 1) / (rejected + 1)).clip(-3, 3), bins=24)

    def splits(self) -> None:
        pairs = self.pairs
        for name, keys in (("exact", pairs["question"]), ("D1", pairs["question"].map(normalised))):
            self.found[name] = int((pairs["split"].groupby(keys).nunique() > 1).sum())

    def near(self) -> None:
        """MinHash over runs of three words, five bands of three, estimated on what they meet."""
        pairs = self.pairs
        rng = np.random.default_rng(0)
        a = rng.integers(1, PRIME, PERMUTATIONS, dtype=np.int64)[:, None]
        b = rng.integers(0, PRIME, PERMUTATIONS, dtype=np.int64)[:, None]

        def signature(text: str) -> np.ndarray | None:
            words = re.sub(r"[^\w\s]", "", text.lower()).split()
            runs = {" ".join(words[at : at + 3]) for at in range(len(words) - 2)}
            if not runs:
                return None
            hashes = np.array([crc32(run.encode()) & 0x7FFFFFFF for run in runs], dtype=np.int64)
            return np.asarray(((a * hashes + b) % PRIME).min(axis=1))

        signatures = [signature(text) for text in pairs["question"]]
        sizes = pairs["split"].value_counts()
        near = set()
        for place in range(1, len(sizes)):
            bands: dict[tuple[int, ...], int] = {}
            larger = set(sizes.index[:place])
            for at, split in enumerate(pairs["split"]):
                mine = signatures[at]
                if split in larger and mine is not None:
                    for band in range(5):
                        bands.setdefault((band, *mine[3 * band : 3 * band + 3]), at)
            for at, split in enumerate(pairs["split"]):
                mine = signatures[at]
                if split != sizes.index[place] or mine is None:
                    continue
                for band in range(5):
                    there = bands.get((band, *mine[3 * band : 3 * band + 3]))
                    if there is not None and (mine == signatures[there]).mean() >= 0.7:
                        near.add(at)
        self.found["D2"] = len(near)


def read(path: Path) -> pd.DataFrame:
    pairs = pd.read_parquet(path)
    messages = pairs["prompt"]
    pairs["roles"] = messages.map(lambda turns: ",".join(turn["role"][0] for turn in turns))
    pairs["question"] = messages.map(
        lambda turns: "\n".join(turn["content"] for turn in turns if turn["role"] != "system")
    )
    for side in ("prompt", *SIDES):
        pairs[side] = pairs[side].map(lambda turns: "\n".join(turn["content"] for turn in turns))
    return pairs


def normalised(text: str) -> str:
    form = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[\W_]+", "", form) or text
