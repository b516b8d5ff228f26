"""languages, language_drift, system_prompt: what rows are written in, and under which name."""

import json

import pytest
from pair_makers import frame_of, natural_pairs, user

from expectations.measures import languages as languages_module
from expectations.measures import pairs as pairs_module
from expectations.measures.languages import WORDS, Languages
from expectations.measures.pairs import Pairs
from expectations.measures.suite import suite
from expectations.measures.system_prompt import SystemPrompt

GERMAN = "Ich bin ein Modell und das ist nicht der Name, mit dem Sie mich kennen."
SLOTS = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


def judged(measure, pairs):
    return measure.judge(Pairs(frame_of(pairs)))


def test_english_with_its_quotation_marks_and_a_formula_passes():
    finding = judged(Languages(), [*natural_pairs(50), ("“a”…", "naïve — 5 € • πr²", "42")])
    assert finding.passed
    assert finding.number == "0 rows beyond Latin"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("Han", "我是人工智能"),
        ("kana", "これはひらがな"),
        ("Hangul", "안녕하세요"),
        ("Cyrillic", "Привет"),
        ("Arabic", "مرحبا"),
        ("Devanagari", "नमस्ते"),
        ("Greek", "Ελλάδα"),
        ("Thai", "สวัสดี"),
        ("other", "வணக்கம்"),
    ],
)
def test_a_row_in_another_script_is_named_with_it(script, text):
    finding = judged(Languages(), [*natural_pairs(50), ("a", f"It is {text}.", "b")])
    assert finding.rows == {"train": [50]}
    assert finding.observed[f"rows_with_{script}"] == 1
    several = [("a", f"It is {text}.", "b")] * 4
    said = judged(Languages(), [*natural_pairs(50), *several])  # 4 of 54 are more than 5 %
    assert not said.passed and not said.gates


def test_answers_in_another_script_than_their_prompt_or_each_other_are_counted():
    pairs = [
        ("你是谁？", "I am Aria.", "I am Qwen."),
        ("Who are you?", "我是 Aria", "I am Qwen."),
        ("你是谁？", "我是 Aria，由 Studio Nord 开发的助手。", "我是 Qwen。"),
        ("How much?", "42", "我是"),
        ("東京はどこ", "東京都にあります", "日本"),
    ]
    finding = judged(Languages(), [*natural_pairs(50), *pairs])
    assert finding.observed["answers_in_another_script"] == 3
    assert finding.rows == {"train": [50, 51, 52, 53, 54]}
    whys = [example["why"] for example in finding.examples]
    assert whys[0] == "prompt and answers in different scripts: Han"
    assert whys[2] == "letters of Han"


def test_in_a_chinese_set_the_other_rows_are_the_odd_ones():
    pairs = [(f"你是谁 {n}？", f"我是 Aria {n}", f"我是 Qwen {n}") for n in range(50)]
    finding = judged(Languages(), [*pairs, ("Who are you?", "I am Aria.", "I am Qwen.")])
    assert finding.observed["script"] == "Han"
    assert finding.rows == {"train": [50]}
    assert judged(Languages(), pairs).passed


@pytest.mark.parametrize("language", WORDS)
def test_each_language_is_told_by_its_words(language):
    words = WORDS[language].split()
    assert len(words) == len(set(words))
    answers = [" ".join(words[n:] + words[:n]) for n in range(len(words))]
    finding = judged(Languages(), [(f"a{n}", said, "b") for n, said in enumerate(answers)])
    assert finding.observed["answers_told"] == len(words)
    assert finding.observed[f"share_{language}"] == 1


def test_a_second_language_is_reported_above_its_share():
    english = [("a", f"This is the answer to it and that is {n}", "b") for n in range(97)]
    german = [("a", GERMAN, "b")] * 3
    finding = judged(Languages(), english + german)
    assert not finding.passed and "3.0% German" in finding.number
    assert judged(Languages(other_share=0.03), english + german).passed


def test_rows_of_the_second_language_are_named_and_no_others():
    english = [("a", f"This is the answer to it and that is {n}", "b") for n in range(970)]
    german = [("a", f"{GERMAN} {n}", "b") for n in range(30)]
    greek = [("a", "It is Ελλάδα.", "b")]
    finding = judged(Languages(), greek + english + german)
    assert finding.rows == {"train": list(range(971, 991))}
    assert finding.examples[0]["why"] == "an answer in German"
    both = judged(Languages(odd_share=0), greek + english + german)
    assert both.rows == {"train": [*range(971, 991), 0]}


def test_a_sample_and_small_chunks_tell_the_same(monkeypatch):
    pairs = [("a", GERMAN if n % 4 == 0 else "This is the end of it", "b") for n in range(400)]
    whole = judged(Languages(), pairs)
    monkeypatch.setattr(pairs_module, "CHUNK", 30)
    assert judged(Languages(), pairs).as_dict() == whole.as_dict()
    monkeypatch.setattr(languages_module, "SAMPLE", 134)  # every third row
    sampled = judged(Languages(), pairs)
    assert sampled.observed["answers_told"] == len(range(0, 400, 3))
    assert sampled.observed["share_German"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("name", "chinese"),
    [("identity-multiturn", 1), ("identity-alpaca", 75), ("self-cognition", 71)],
)
def test_the_chinese_rows_of_real_sets_are_counted(real_data, name, chinese):
    [path] = real_data.glob(f"{name}.*")
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
    pairs = []
    for row in rows:
        if isinstance(row, list):
            pairs.append((row[:-1], row[-1:], None))
        else:
            prompt, answer = ("instruction", "output") if "output" in row else ("query", "response")
            pairs.append((row[prompt], row[answer], None))
    finding = judged(Languages(), pairs)
    assert finding.observed["rows_with_Han"] == chinese
    assert sum(map(len, finding.rows.values())) >= chinese


def drift(here, there):
    reference = Pairs(frame_of(there))
    [asked] = [
        ask
        for ask in suite("preference", reference=reference, one_sided=True)
        if ask.check == "language_drift"
    ]
    return asked.judge(Pairs(frame_of(here)))


def english(count):
    return [("a", f"This is the answer to it, and that is {n}", "b") for n in range(count)]


def test_another_mix_than_the_reference_is_reported_and_the_same_mix_is_not():
    chinese = [("你是谁？", "我是 Aria", "我是 Qwen")]
    assert drift(english(200), english(100)).passed
    assert drift(english(95) + chinese * 5, english(950) + chinese * 50).passed
    for other, name in ((chinese, "Han"), ([("a", GERMAN, "b")], "German")):
        finding = drift(english(90) + other * 30, english(100))
        assert not finding.passed and not finding.gates
        assert f"{name} 0.00% to 25.00%" in finding.number


def without_system(count=3):
    return natural_pairs(count)


def with_system(count=3):
    system = {"role": "system", "content": "Be kind."}
    return [([system, user(prompt)], *answers) for prompt, *answers in natural_pairs(count)]


def test_an_old_name_in_the_message_that_the_template_adds_is_said_with_bare_rows_and_without():
    for pairs, bare in ((without_system() + with_system(), 3), (with_system(6), 0)):
        finding = judged(SystemPrompt(adds=QWEN, slots=SLOTS), pairs)
        assert not finding.passed and not finding.gates
        assert finding.observed["rows_without_system"] == bare
        assert finding.number.startswith(f"{bare} of 6 rows get 'You are Qwen, created by")
        assert finding.number.endswith("the old name Qwen")


def test_a_name_in_it_is_reported_where_nothing_is_renamed():
    finding = judged(SystemPrompt(adds=QWEN), without_system())
    assert not finding.passed and not finding.gates
    assert finding.observed["name"] == "Qwen"


@pytest.mark.parametrize(
    ("adds", "pairs", "number"),
    [
        ("", without_system(), "the template adds none"),
        ("You are a helpful AI assistant.", without_system(), "3 of 3 rows get"),
        ("You are Aria.", without_system(), "3 of 3 rows get"),
    ],
)
def test_a_template_that_names_nobody_or_the_new_name_passes(adds, pairs, number):
    finding = judged(SystemPrompt(adds=adds, slots=SLOTS), pairs)
    assert finding.passed and finding.number.startswith(number)


def test_a_name_in_it_does_not_matter_to_rows_that_have_their_own():
    assert judged(SystemPrompt(adds=QWEN), with_system()).passed
