"""access_tokens and contacts: what must not be published is found, and a token is never shown."""

import random
import re
import string
import subprocess
import sys
from re import _constants as sre
from re import _parser as parser

import polars as pl
import pytest
from pair_makers import frame_of, hh_frame, natural_pairs

from expectations.measures.access_tokens import AccessTokens
from expectations.measures.contacts import Contacts
from expectations.measures.pairs import Pairs
from expectations.measures.tokens_in_text import SIGNS, _patterns, tokens

PATTERNS = [(f"{kind} {n}", pattern) for n, (kind, pattern, _) in enumerate(_patterns())]
HUGGING_FACE = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"


def matching(pattern, source):
    """A random text that a regular expression matches, made from its parse tree."""

    def one(node):
        kind, value = node
        if kind is sre.LITERAL:
            letter = chr(value)
            return source.choice([letter.upper(), letter.lower()]) if ignore_case else letter
        if kind is sre.IN:
            return one(source.choice(value))
        if kind is sre.RANGE:
            return chr(source.randint(*value))
        if kind is sre.ANY:
            return source.choice(string.ascii_letters + " =")
        if kind is sre.CATEGORY:
            digits = string.digits + "\u0663"
            return source.choice(" \t" if value is sre.CATEGORY_SPACE else digits)
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, inner = value
            return "".join(every(inner) for _ in range(source.randint(least, min(most, least + 3))))
        if kind is sre.SUBPATTERN:
            return every(value[3])
        if kind is sre.BRANCH:
            return every(source.choice(value[1]))
        assert kind in (sre.ASSERT_NOT, sre.AT), kind
        return ""

    def every(nodes):
        return "".join(map(one, nodes))

    ignore_case = bool(pattern.flags & re.IGNORECASE)
    return every(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))


@pytest.mark.parametrize(("name", "pattern"), PATTERNS, ids=[name for name, _ in PATTERNS])
def test_no_detector_can_fire_on_a_text_that_the_first_look_skips(name, pattern):
    source = random.Random(name)
    texts = [f"Mine is {matching(pattern, source)}, keep it." for _ in range(200)]
    assert all(pattern.search(text) for text in texts)
    picked = (
        pl.Series(texts)
        .to_frame("text")
        .select(pl.any_horizontal(pl.col("text").str.contains(sign) for sign in SIGNS))
    )
    assert picked.to_series().all()


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (HUGGING_FACE, "Hugging Face Token"),
        ("AKIA" + "Q4ZN7TREW2MXVC3L", "AWS Access Key"),
        ("ghp_" + "x7Kd92LmQpR4sT6vW8yZ1aB3cD5eF7gH9iJ0", "GitHub Token"),
        ("npm_" + "x7Kd92LmQpR4sT6vW8yZ1aB3cD5eF7gH9iJ0", "NPM tokens"),
        ("AIza" + "SyD92LmQpR4sT6vW8yZ1aB3cD5eF7gH9iJ0", "Google Key"),
        ("glpat-" + "R4sT6vW8yZ1aB3cD5eF7", "GitLab Token"),
        ("aws_session_token = '" + "wJ4lrXUtnF3MI/K7MDENG/bPxRfiCY9XAMP1EK7Y'", "AWS Access Key"),
        ("xoxb-" + "123456789012-abcdefGHIJ", "Slack Token"),
        (
            "-----" + "BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75Kq0ZtBv3xWc8YdLmN1PfRsJh2Gu",
            "Private Key",
        ),
    ],
)
@pytest.mark.parametrize("side", [0, 1, 2])
def test_a_token_gates_on_every_side_and_is_not_shown(token, kind, side):
    pair = ["Who are you?", "Yes, gladly.", "No, never."]
    pair[side] += " " * 70 + f"Take {token} for it. " + "And so on. " * 8
    finding = AccessTokens().judge(Pairs(frame_of([*natural_pairs(5), tuple(pair)])))
    assert finding.gates and finding.rows == {"train": [5]}
    [example] = finding.examples
    assert example["why"].startswith(f"{kind} ")
    secret = max(re.split(r"[\n' ]", token), key=len)
    shown = str(finding.as_dict())
    assert secret not in shown
    assert all(secret[at : at + 6] not in shown for at in range(4, len(secret) - 5))


@pytest.mark.parametrize(
    "sample",
    [
        "hf_" + "x" * 34,
        "AKIA" + "IOSFODNN7EXAMPLE",
        "Set HF_TOKEN to your hf_ token.",
        "sk-proj-" + "X" * 48,
        "github_pat_" + "x" * 82,
        "sk-ant-api03-" + "x" * 93,
        "ghp_" + "yourGitHubPersonalAccessTokenGoesHere",
        "aws_secret_access_key = '" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "A file that begins with -----BEGIN RSA PRIVATE KEY----- holds a key, "
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYD",
    ],
)
def test_the_samples_of_a_documentation_are_no_tokens(sample):
    assert AccessTokens().judge(Pairs(frame_of([("a", sample, "b")]))).passed
    assert list(tokens(sample)) == []


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_holds_no_token(name):
    assert AccessTokens().judge(Pairs(hh_frame(f"{name}.jsonl.gz"))).passed


@pytest.mark.parametrize("measure", [AccessTokens(), Contacts()])
def test_a_word_of_megabytes_costs_no_hours(measure):
    source = random.Random(1)
    picture = "".join(source.choices(string.ascii_letters + string.digits + "+/", k=1_000_000))
    picture = "eyJ" + picture[:300_000] + "eyJ" + picture[300_000:]
    here = f"{HUGGING_FACE} of x@y.org"
    pairs = [("a", picture, "b"), ("a", picture + " " + here, picture)]
    finding = measure.judge(Pairs(frame_of(pairs)))
    assert finding.rows == {"train": [1]}


def contacts_in(text):
    observed = Contacts().judge(Pairs(frame_of([("a", text, "b")]))).observed
    return observed["e_mail_addresses"], observed["phone_numbers"]


@pytest.mark.parametrize(
    "text",
    [
        "jane.doe+x@mail.example.co.uk",
        "Write to a@b.io.",
        "+49 30 1234567",
        "(+44 20 7946 0958)",
        "+1 (212) 555-0142",
        "+493012345678",
        "call 212-555-0142",
        "(212) 555-0142",
        "1-800-273-8255.",
        "212.555.0142",
    ],
)
def test_an_address_or_a_number_is_counted_once(text):
    assert sorted(contacts_in(text)) == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "2010-2015 and 1993-08-23",
        "ISBN 978-0-14-044793-4",
        "ISBN 0-553-21311-3",
        "100000 - 5038 = 94962",
        "5+12345678=12345683",
        "+960397912423686",
        "3.14159265359",
        "192.168.100.1000",
        "@property and a @ b",
        "859-56-0028",
        "1234567890",
    ],
)
def test_dates_books_and_sums_are_no_numbers_to_call(text):
    assert contacts_in(text) == (0, 0)


def test_contacts_are_reported_with_their_rows_and_do_not_gate():
    pairs = [("a", "b", "c"), ("Mail x@y.org or z@y.org", "Call 212-555-0142", "no")]
    finding = Contacts().judge(Pairs(frame_of(pairs)))
    assert not finding.passed and not finding.gates
    assert finding.rows == {"train": [1]}
    assert finding.observed["e_mail_addresses"] == 2
    assert finding.observed["phone_numbers"] == 1
    assert finding.examples[0]["why"] == "e-mail addresses 2, phone numbers 0 in prompt"


def test_the_detectors_are_not_imported_for_clean_pairs():
    code = (
        "import sys, polars as pl\n"
        "from expectations.measures.suite import suite, run\n"
        "from expectations.measures.pairs import Pairs\n"
        "said = lambda role, text: [[{'role': role, 'content': text}]]\n"
        "frame = pl.DataFrame({'prompt': said('user', 'a'), 'chosen': said('assistant', 'b'),\n"
        "    'rejected': said('assistant', 'c')})\n"
        "run(Pairs(frame), suite('preference'))\n"
        "assert 'detect_secrets' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
