"""Nothing secret in a log, and a stage's line that programs read."""

import logging
import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from ground import ROOT

from tasks.core.errors import InputError
from tasks.core.hub import HubUnavailable
from tasks.core.logfmt import line
from tasks.core.masking import mask_logs, masked, safe_error
from tasks.core.settings import Splits
from tasks.core.watching import Diverged

TOKEN = "hf_" + "7c3e9a05" * 4  # of localhub's length; the same on every worker of a test run
OWN = "51f0c2d8-no-known-form"
BASIC = "prefect:sesame-open"


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", OWN)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", BASIC)
    monkeypatch.setenv("aws_secret_access_key", f"aws-{OWN[::-1]}")
    monkeypatch.setenv("PAIRPRESS_WEBHOOK_URL", "https://chat.example/services/T1/B1/sesame")


@pytest.mark.parametrize(
    ("secret", "around"),
    [
        (TOKEN, "Authorization: Bearer {}"),
        (f"hf_{'aB3dE5fG7hI9kL2m' * 2}xy", "{}"),
        (OWN, "key={}, and again {}"),
        ("https://chat.example/services/T1/B1/sesame", "POST {} failed"),
        ("geheimnis", "postgresql+asyncpg://prefect:{}@db.example:5432/prefect"),
        ("geheim@nis", "redis://:{}@cache.example:6379/0"),
        (BASIC, "PREFECT_API_AUTH_STRING={}"),
        (f"aws-{OWN[::-1]}", "s3 with {}"),
        ("ghp_" + "aB3dE5fG7hI9" * 3, "token {} of somebody"),
    ],
)
def test_a_secret_is_hidden_and_what_stands_around_it_stays(secret, around):
    text = masked(around.replace("{}", secret))
    assert secret not in text
    pieces = [piece for piece in around.split("{}") if piece]
    assert all(piece in text for piece in pieces), text


@pytest.mark.parametrize(
    "text",
    [
        "hf_hub_download took 3 s",
        "stage=load seconds=0.4 digest=" + "0b9c" * 16 + " folder=load-" + "5d1e" * 4,
        "https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct@main, http://127.0.0.1:4200/runs",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert masked(text) == text


@pytest.fixture
def masking() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    mask_logs()
    yield
    logging.setLogRecordFactory(before)


def test_every_record_is_masked_with_its_arguments_and_its_traceback(masking, caplog):
    log = logging.getLogger("of.any.library")
    log.warning("sent %s to %s", TOKEN, "somebody")
    try:
        raise KeyError(TOKEN)
    except KeyError:
        log.exception("it broke")
    assert TOKEN not in caplog.text
    assert "to somebody" in caplog.text and "KeyError: 'hf_" in caplog.text


class Untold:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_record_whose_arguments_do_not_fit_breaks_nothing_and_tells_no_secret(
    masking, caplog, capsys
):
    log = logging.getLogger("of.any.library")
    log.warning("100%% of %d", "it")
    log.warning("sent %s to %s", TOKEN)
    log.warning("this is %s, %s", Untold(), TOKEN)
    assert TOKEN not in caplog.text + capsys.readouterr().err
    words = ["sent %s to %s (its arguments do not fit: TypeError)", "this is %s, %s ("]
    assert all(one in caplog.text for one in words)


def noted(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


def unauthorized() -> Exception:
    """Its words are harmless; its request has the token that was sent."""
    request = httpx.Request("GET", "https://h/x", headers={"Authorization": f"Bearer {TOKEN}"})
    return httpx.HTTPStatusError("401", request=request, response=httpx.Response(401))


def not_valid() -> Exception:
    with pytest.raises(ValueError) as raised:
        Splits.model_validate({"test": TOKEN})
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"who wrote {TOKEN} here"),
        FileNotFoundError(2, "No such file", f"https://u:{TOKEN}@h/x"),
        KeyError({"token": (TOKEN,)}),
        OSError(TOKEN.encode()),
        subprocess.CalledProcessError(1, "git push", stderr=f"https://u:{TOKEN}@h: no"),
        ExceptionGroup("two", [ValueError(TOKEN), KeyError(TOKEN)]),
        noted(ValueError("plain"), f"it was {TOKEN}"),
        unauthorized(),
        not_valid(),
        InputError(f"{TOKEN}: no such file."),
        HubUnavailable(f"http://u:{TOKEN}@h did not answer"),
        Diverged(f"loss is nan at step 3, {TOKEN}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_shown_and_pickled_without_its_secret(error):
    safe = safe_error(error)
    left = f"{safe} {safe!r}".encode() + pickle.dumps(safe)
    assert TOKEN.encode() not in left
    assert type(error).__name__.encode() in left
    ours = isinstance(error, InputError | HubUnavailable | Diverged)
    assert type(safe) is (type(error) if ours else RuntimeError)


def test_an_error_of_words_without_a_secret_stays_as_it_is():
    for error in (FileNotFoundError(2, "No such file", "rows"), KeyError("x"), InputError("no.")):
        assert safe_error(error) is error


def test_a_line_of_a_stage_is_read_back_by_any_reader_of_logfmt():
    values = {"stage": "load", "seconds": 0.25, "cached": False, "rows": 100, "of": 'a "b" = c'}
    text = line(values)
    assert text == r'stage=load seconds=0.25 cached=false rows=100 of="a \"b\" = c"'
    assert dict(pair.split("=", 1) for pair in shlex.split(text)) == {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
    assert line({"a": "", "b": "two\nlines"}) == r'a="" b="two\nlines"'


def test_a_librarys_notes_stay_out_of_the_terminal_and_its_warnings_do_not():
    """Outside of a run there is no page to send them to, and nothing complains."""
    code = (
        "import logging, tasks.staged\n"
        "one = logging.getLogger('transformers.trainer')\n"
        f"one.info('a note'); one.warning('a warning of {TOKEN}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "a note" not in done.stderr and "UserWarning" not in done.stderr
    assert re.search(r"a warning of hf_\w…", done.stderr), done.stderr
