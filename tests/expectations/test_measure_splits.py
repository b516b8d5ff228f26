"""D1 and D2: a prompt of one split that stands in another one, or nearly does."""

import random
import re
import unicodedata
from math import comb

import polars as pl
import pytest
from pair_makers import WORDS, assistant, frame_of, hh_frame, natural_pairs, user

from expectations.measures import pairs as pairs_module
from expectations.measures.chunk import FAULT
from expectations.measures.near import NearPrompts
from expectations.measures.pairs import Pairs
from expectations.measures.splits import SIGNATURE, PromptInOneSplit, asked, question_key

SYSTEM = {"role": "system", "content": "Be kind."}


def d1(frame):
    return PromptInOneSplit().judge(Pairs(frame))


def d2(frame):
    return NearPrompts().judge(Pairs(frame))


def in_splits(prompts, splits):
    return frame_of([(prompt, "a", "b") for prompt in prompts], split=splits)


def keys_of(texts):
    return pl.DataFrame({"text": texts}).select(question_key(pl.col("text")))["text"].to_list()


def plain_key(text):
    """The same in plain Python: NFKC, lower case, letters with their marks, digits and signs."""
    form = unicodedata.normalize("NFKC", text).lower()
    for written, sign in zip("-*/", "−×÷", strict=True):
        form = re.sub(rf"([0-9] *)[{written}](?= *[0-9])", rf"\1{sign}", form)
    kept = "+=<>^#%−×÷"
    return "".join(c for c in form if c in kept or unicodedata.category(c)[0] in "LMN") or text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is love?", "What is love?"),
        ("What is love?", "what is LOVE"),
        ("What's love?", "What’s “love”"),
        ("What is love?", "\uff37hat is\nlove?!"),
        ("What is love?", "  What\tis  love "),
        ("Straße", "STRAẞE"),
        ("क्या हाल है?", "क्या हाल है"),
        ("你好，世界", "你好世界！"),
        ([SYSTEM, user("What is love?")], "What is love?"),
        ([user("What is"), assistant("love?")], "What is love?"),
        ("??", "??"),
        ("1 + 1?", "1+1"),
        ("3 * 4", "３×４"),
        ("a well-known name", "a well known name"),
        ("either/or", "Either, or"),
    ],
)
def test_a_prompt_in_two_splits_fails_exact_or_normalised(one, other):
    finding = d1(in_splits([one, "Another", other], ["train", "train", "test"]))
    assert finding.gates
    assert finding.rows == {"train": [0], "test": [2]}
    assert finding.observed["prompts_shared"] == 1
    assert finding.examples[0]["why"] == "its prompt stands in test and train"
    together = in_splits([one, "Another", other], ["test", "train", "test"])
    assert d1(together).passed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is love?", "What is life?"),
        ("??", "!!"),
        ("की", "कि"),  # two words, apart by a vowel mark
        ("1/2", "½ of"),
        ("C", "Ć"),
        ("C++", "C#"),
        ("C++", "C"),
        ("1+1", "1-1"),
        ("1 - 1", "1 / 1"),
        ("3*4", "34"),
        ("1-2-3", "1-2/3"),
        ("a < b", "a > b"),
    ],
)
def test_different_prompts_in_two_splits_pass(one, other):
    finding = d1(in_splits([one, other], ["train", "test"]))
    assert finding.passed and finding.number == "0 prompts shared"


def test_prompts_that_are_equal_letter_by_letter_are_counted_apart():
    prompts = ["Who?", "Who?", "What?", "what", "Where?"]
    finding = d1(in_splits(prompts, ["train", "test", "train", "test", "test"]))
    assert finding.observed["prompts_shared"] == 2
    assert finding.observed["prompts_shared_exactly"] == 1


def test_the_key_is_that_of_plain_unicode():
    texts = [
        "It's 5 o’clock – “now”…",
        "ﬁne ① ℌello Ⅳ ½ ™ ａｂｃ",
        "ΟΔΟΣ Σ.Σ",
        "İstanbul e\u0301 é",
        "कि की",
        "a\u200bb\u00a0c\u2011d",
        "...",
        "",
        "한국어 か\u3099",
        "C++, C#: 50% < x^2 = 3",
        "1-2-3 4 * 5*6 / 7, a-b 2-b; 24/7 １－１",
        "3\n- 4",
    ]
    assert keys_of(texts) == [plain_key(text) for text in texts]


def test_the_key_is_that_of_plain_unicode_on_real_prompts(real_data):
    frame = hh_frame("hh-harmless-base-test.jsonl.gz")
    texts = Pairs(frame).select({"text": pl.col("question")})["text"].to_list()
    assert keys_of(texts) == [plain_key(text) for text in texts]


def test_one_split_has_nothing_to_be_compared_with():
    same = frame_of([("Who are you today?", "a", "b")] * 2)
    for finding in (d1(same), d2(same), d1(in_splits(["a", "a"], ["train", "train"]))):
        assert finding.passed and finding.number == "one split, nothing to compare"


def test_no_pairs_keep_no_promise():
    empty = in_splits(["a"], ["train"]).clear()
    assert d1(empty).gates and d2(empty).gates


def test_rows_of_a_test_file_count_though_they_are_not_judged():
    prompts = [f"{said} to you, my dear?" for said in ("Who is it", "What is it")]
    frame = in_splits([*prompts, prompts[0]], ["train", "train", "test"])
    frame = frame.with_columns(judged=pl.Series([True, True, False]))
    assert Pairs(frame).height == 2
    assert d1(frame).rows == {"train": [0], "test": [2]}
    edited = [*prompts, f"Please answer me now: {' '.join(WORDS.split())}?"]
    longer = frame_of(
        [(edited[2][22:], "a", "b"), (edited[0], "a", "b"), (edited[2], "a", "b")],
        split=["train", "train", "test"],
        judged=[True, True, False],
    )
    assert d2(longer).rows == {"test": [2]}


def test_a_row_with_faults_asks_as_long_as_its_prompt_can_be_read():
    fault = [{"check": "P1", "side": "chosen", "reason": "`chosen` is null"}]
    frame = in_splits(["Who?", "Who?"], ["train", "test"])
    faulty = frame.with_columns(faults=pl.Series([[], fault], dtype=FAULT))
    assert d1(faulty).rows == {"train": [0], "test": [1]}
    for nothing in (None, [], [user(" ")]):
        prompts = pl.Series([nothing, nothing], dtype=faulty.schema["prompt"])
        lost = faulty.with_columns(prompt=prompts)
        assert d1(lost).passed
        assert d2(lost).number == "nothing to compare: a split without a usable row"


def questions(count, words=40, seed=0):
    """Prompts of one length that have hardly three words in a row in common."""
    source = random.Random(seed)
    return [" ".join(source.choices(WORDS.split(), k=words)) for _ in range(count)]


def share_found(edit, count=200, words=40):
    """The share of edited prompts that are found near the prompt that they were made from."""
    train = questions(count, words)
    test = [edit(prompt) for prompt in train]
    finding = d2(in_splits(train + test, ["train"] * count + ["test"] * count))
    assert set(finding.rows) <= {"test"}
    return finding.observed["rows"] / count


def expected_share(jaccard):
    """The chance that at least 12 of 16 places are equal, each being equal by the index."""
    return sum(
        comb(16, equal) * jaccard**equal * (1 - jaccard) ** (16 - equal) for equal in range(12, 17)
    )


def test_a_prompt_behind_a_few_new_words_is_found():
    # 38 runs of three words and 2 new ones: 38 / 40.
    assert expected_share(38 / 40) > 0.99
    assert share_found(lambda prompt: f"Please answer: {prompt}") > 0.97


def test_a_changed_word_is_found_in_a_long_prompt_and_mostly_not_in_a_short_one():
    def with_a_new_word(prompt):
        words = prompt.split()
        words[len(words) // 2] = "zebra"
        return " ".join(words)

    for words in (10, 25, 60):
        runs = words - 2
        expected = expected_share((runs - 3) / (runs + 3))
        deviation = (expected * (1 - expected) / 200) ** 0.5
        assert abs(share_found(with_a_new_word, words=words) - expected) < 4 * deviation + 0.01


def test_prompts_that_share_no_run_of_words_are_not_near():
    assert share_found(lambda prompt: " ".join(reversed(prompt.split()))) == 0


def test_case_and_punctuation_do_not_hide_a_near_prompt():
    [prompt] = questions(1)
    loud = "Well... " + prompt.upper().replace(" ", "  ") + "?!"
    finding = d2(in_splits([prompt, "Who?", loud], ["train", "train", "test"]))
    assert finding.rows == {"test": [2]}
    assert finding.examples[0]["why"].endswith("like row 0 of train")
    assert not finding.passed and not finding.gates


def test_chinese_prompts_are_compared_by_the_character():
    prompt = "请问你能不能告诉我中国最长的河流是哪一条以及它流经哪些省份"
    finding = d2(in_splits([prompt, "x", f"你好，{prompt}？"], ["train", "train", "test"]))
    assert finding.rows == {"test": [2]}


def test_equal_prompts_are_left_to_d1_and_short_ones_to_nobody():
    [prompt] = questions(1)
    finding = d2(
        in_splits([prompt, prompt.upper(), "Hi you", "hi you!"], ["train", "test", "train", "test"])
    )
    assert finding.passed
    assert finding.observed == {
        "splits": 2,
        "compared": 2,
        "rows": 0,
        "share": 0.0,
        "too_short": 2,
    }


def test_each_smaller_split_is_compared_with_all_larger_ones():
    train, validation, other = questions(3)
    frame = in_splits(
        [train, other, "Who?", f"so {train}", validation, f"so {validation}"],
        ["train", "train", "train", "validation", "validation", "test"],
    )
    finding = d2(frame)
    assert finding.rows == {"validation": [3], "test": [5]}
    assert finding.observed["compared"] == 3


def test_many_copies_of_one_prompt_cost_no_more_than_one():
    [prompt] = questions(1)
    train = [f"{number} {prompt}" for number in range(3000)]
    test = [f"{number} {prompt}" for number in range(3000, 5000)]
    finding = d2(in_splits(train + test, ["train"] * 3000 + ["test"] * 2000))
    assert finding.observed["rows"] == 2000
    assert finding.observed["share"] == 1


def test_chunks_do_not_change_what_is_asked(monkeypatch):
    frame = frame_of(natural_pairs(30), split=["train", "test"] * 15)
    whole = asked(Pairs(frame))
    monkeypatch.setattr(pairs_module, "CHUNK", 7)
    assert asked(Pairs(frame)).equals(whole)
    assert whole.columns[-len(SIGNATURE) :] == SIGNATURE


def test_real_prompts_made_from_others_are_found_and_a_clean_set_is_not_accused(real_data):
    for name in ("hh-harmless-base-test.jsonl.gz", "hh-helpful-base-test.jsonl.gz"):
        frame = hh_frame(name)
        half = (
            pl.when(pl.col("row").hash(3) % 2 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
        )
        assert d2(frame.with_columns(split=half)).passed
        taken = frame.sample(400, seed=1).to_dicts()
        for row in taken:
            row["prompt"][0]["content"] = f"Please answer: {row['prompt'][0]['content']}"
        both = [
            frame.with_columns(split=pl.lit("train")),
            pl.DataFrame(taken, schema=frame.schema).with_columns(split=pl.lit("test")),
        ]
        assert d2(pl.concat(both)).observed["rows"] > 0.9 * 400
