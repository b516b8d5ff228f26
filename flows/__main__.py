"""The command line: list, plan, run, up, verify, rollback, clean, rehearse, compare, check, mend,
ask, hub, demo.

    pairpress run demo --set training.max_steps=100

Data on standard output, words on standard error. Exit 0; 1: a gate or check said no; 2: bad usage
or unreadable input. Whatever is slow to import is imported where it is used. It is long because
all commands stand in one file, as their help shows them.
"""

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer

from tasks.core.errors import InputError, Refused
from tasks.core.hub import LOOPBACK

app = typer.Typer(
    help="Raw preference pairs in, a released model out: DPO with LoRA as a Prefect DAG.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

TRAIN = ("run", "demo", "up", "rehearse")  # in this process, or in one that it starts
OURS = ("flows", "tasks", "expectations", "localhub", "demo")
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Another file of recipes")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable")]
CheckFormat = Literal["text", "json", "github", "junit"]
PlanFormat = Literal["text", "json"]
Of = Annotated[
    str | None,
    typer.Option("--of", metavar="OWNER/NAME", help="The merged model; the last one made here"),
]
Local = Annotated[bool, typer.Option("--local", help="Use the Hub on this disk (localhub)")]


@app.command("list")
def list_recipes(recipe: RecipeFile = None) -> None:
    """Recipes in prefect.yaml."""
    from tasks.core.book import deployments, recipe_book

    found = deployments(recipe_book(recipe))
    widest = max(map(len, found), default=0)
    for name, deployment in found.items():
        print(f"{name:{widest}}  {deployment.get('description', '')}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A recipe; see `pairpress list`")],
    recipe: RecipeFile = None,
    changes: Changes = None,
    local: Local = False,
) -> None:
    """Run a recipe from raw data to release."""
    from tasks.core.recipes import read_recipe, recipe_book

    checked = read_recipe(name, recipe_book(recipe), changes or ())
    if checked.release.approval == "ui":
        from tasks.core.approval import require_deployment

        sections = {one.partition("=")[0].partition(".")[0] for one in changes or ()}
        changed = checked.model_dump(mode="json", include=sections, exclude_unset=True)
        require_deployment(checked.release, f"release-model/{name}", changed)
    started = time.monotonic()
    with hub_of(local or checked.seed is not None) as started_for_it:
        _prefect_settings(own_home=checked.seed is not None)
        with contextlib.redirect_stdout(sys.stderr):  # libraries print where data belongs
            from flows.release_model import release_model

            _quiet_logs()
            parameters = {key: getattr(checked, key) for key in type(checked).model_fields}
            record = release_model(**parameters)
        from flows.print_release import print_release

        print_release(Path(record), time.monotonic() - started)
        if started_for_it:
            print("`pairpress hub` serves the Hub on this disk at these addresses.")


@app.command()
def up(
    recipe: RecipeFile = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the Prefect server and UI; 0: a free one")
    ] = 4200,
    local: Local = False,
) -> None:
    """Prefect's server and UI, all deployments and a worker on this machine, until Ctrl-C.

    With PREFECT_API_URL set, that server is used and none is started.
    """
    from tasks.core.book import deployments, recipe_book

    book = recipe_book(recipe).resolve()
    deployments(book)  # a book that holds none is told before anything starts
    with hub_of(local, shared=True):
        _prefect_settings(own_home=True, beside_up=False)
        from flows.start_all import start_all

        start_all(book, port)


@app.command()
def demo() -> None:
    """Qwen becomes Deep Qwen, offline: the recipe `demo` against a Hub on this disk."""
    run("demo")


@app.command()
def check(
    sources: Annotated[
        list[str] | None,  # none: also told in the files that a CI job shows
        typer.Argument(metavar="FILE_OR_REPO...", help="File or owner/name@revision"),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="identity, preference or hh; by the data if not given")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="YAML file that changes checks: `S1: {purity: 0.95}`")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="name=NEW:OLD, a difference that an identity set may have; repeatable"),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="File or owner/name to compare lengths and languages with")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Test file whose prompts must not stand in these sources")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or owner/name: counts tokens by its chat template")
    ] = None,
    read_as: Annotated[
        str | None, typer.Option(help="Form of the rows, as in docs/forms.md; told by them if not")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Configuration of a Hub data set that has several")
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="Folder for Data Docs, Markdown, JSON, JUnit and a picture")
    ] = None,
    form: Annotated[
        CheckFormat, typer.Option("--format", help="How the findings are told")
    ] = "text",
    junit: Annotated[str | None, typer.Option(help="Also JUnit XML, into this file")] = None,
    summary: Annotated[
        str | None, typer.Option(help="Also Markdown for the page of a CI job, added to this file")
    ] = None,
    local: Local = False,
) -> None:
    """Does a shortcut give chosen away from rejected? Reads and checks data sets.

    Exit 0: clean; 1: a gate failed; 2: unreadable, or a check crashed.
    """
    gc.disable()  # a short run that keeps what it reads: the search for cycles is a tenth of it
    from flows.check_pairs import check_pairs
    from tasks.core.check_files import Told

    outputs = {"report": report, "junit": junit, "summary": summary}
    if empty := [option for option, path in outputs.items() if path == ""]:
        raise InputError(f"--{empty[0]}: empty. Give it a path, or leave it out.")
    files = {option: Path(path) for option, path in outputs.items() if path is not None}
    told = Told(profile, suite, tuple(allow or ()), reference, against, tokenizer, read_as, name)
    with hub_of(local):
        code = check_pairs(sources or (), told, form, files.pop("report", None), files)
    gc.freeze()  # nor is anything searched at the end
    raise typer.Exit(code)


@app.command()
def mend(
    source: Annotated[str, typer.Argument(metavar="FILE", help="File of pairs")],
    out: Annotated[Path, typer.Option(help="Where the mended file goes")],
    against: Annotated[
        str | None, typer.Option(help="Test file: pairs whose prompt stands in it are dropped")
    ] = None,
) -> None:
    """Strip white space, drop empty, equal, contradictory and repeated pairs. Changes no word.

    A run's set-aside.parquet becomes a file of text, every row of it, to be mended by hand.
    """
    from tasks.core.mend import mend_in_words

    for line in mend_in_words(source, out, against):
        print(line)


@app.command()
def ask(
    model: Annotated[str, typer.Argument(help="Hub repository or folder of a chat model")],
    questions: Annotated[list[str], typer.Argument(help="Each answered by itself, greedily")],
    adapter: Annotated[str | None, typer.Option(help="LoRA weights to put on top")] = None,
    system: Annotated[str | None, typer.Option(help="System prompt")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens")] = 128,
    local: Local = False,
) -> None:
    """Print a model's greedy answers, in the order asked."""
    with hub_of(local):
        from tasks.core.ask import answers

        for answer in answers(model, adapter, questions, system, max_new_tokens):
            print(answer)


@app.command()
def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="owner/name, owner/name@revision, or a folder")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one, in the same way")],
    questions: Annotated[
        Path | None,
        typer.Option(help="Text file, one question a line, or JSON lines with `messages`"),
    ] = None,
    report: Annotated[str | None, typer.Option(help="Folder for compare.html and .json")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens")] = 128,
    local: Local = False,
) -> None:
    """Two models or adapters side by side: greedy answers to the same questions, and figures.

    Without --questions those that the releases were shown with, and general ones.
    """
    from flows.print_comparison import print_comparison
    from tasks.core.compare_page import report_folder

    _quiet_libraries()
    folder = None if report is None else report_folder(report)
    with hub_of(local):
        from tasks.core.compare import compare as compared

        kept = Path(__file__).parent / "questions"
        found = compared(a, b, questions, kept / "general.txt", kept / "text.txt", max_new_tokens)
    print_comparison(found, folder)


@app.command()
def rehearse(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Recipes; all if none is named")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
) -> None:
    """Try recipes on miniatures of their models: 20 rows, 5 steps, every stage, no account.

    Gates report and refuse nothing. Prints how long the full run would take on this machine.
    """
    began = time.monotonic()
    from tasks.core.miniatures import shape_of
    from tasks.core.recipes import read_recipe, recipe_book, rehearsed_apart
    from tasks.core.rehearse import owners, require_files

    book = recipe_book(recipe)
    recipes = {}
    for name in dict.fromkeys(names or rehearsed_apart(book)):
        checked = read_recipe(name, book, changes or ())
        require_files(checked)
        judge = checked.on_policy.judge if checked.on_policy else None
        reward = (
            shape_of(judge.reward_model, judge.reward_revision)
            if judge and judge.reward_model
            else None
        )
        recipes[name] = checked, shape_of(checked.base.model, checked.base.revision), reward
    _prefect_settings(own_home=True)
    with _rehearsal_hub({owner for one, *_ in recipes.values() for owner in owners(one)}) as url:
        with contextlib.redirect_stdout(sys.stderr):
            from flows.rehearse_recipes import rehearse_recipes

            _quiet_logs()
        released = rehearse_recipes(recipes, url)
    print(f"the whole command took {time.monotonic() - began:.0f} s, imports and servers included")
    raise typer.Exit(0 if released else 1)


@app.command()
def plan(
    name: Annotated[str, typer.Argument(help="A recipe; see `pairpress list`")],
    recipe: RecipeFile = None,
    changes: Changes = None,
    form: Annotated[PlanFormat, typer.Option("--format", help="text or json")] = "text",
    local: Local = False,
) -> None:
    """What a run would find, do and need; costs nothing, makes nothing, sends nothing.

    Exit 0: a run may start; 2: something in its way, all of which is named.
    """
    from tasks.core.recipes import read_recipe, recipe_book

    checked = read_recipe(name, recipe_book(recipe), changes or ())
    with hub_of(local or checked.seed is not None):
        _prefect_settings(own_home=checked.seed is not None)
        with contextlib.redirect_stdout(sys.stderr):
            from flows.plan_release import plan_release

            _quiet_logs()
            found = plan_release(checked)
        from flows.print_plan import print_plan

        raise typer.Exit(print_plan(found, form))


@app.command()
def verify(
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME[@TAG]", help="Any of its repositories")
    ],
    local: Local = False,
) -> None:
    """Audit a release from what it says of itself: every byte, the answers, rows, tokenizer.

    Downloads all of it anew. Exit 0: as published; 1: the first difference is named.
    """
    with hub_of(local):
        from tasks.core.audit import audit_in_new_process, places_of

        places = places_of(name)
        audit_in_new_process(places, lambda line: print(line, flush=True))


@app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="Such as v1")],
    of: Of = None,
    local: Local = False,
) -> None:
    """Put an earlier version back on main: one forward commit in each repository. Tags stay."""
    with hub_of(local):
        from tasks.core.rollback import rollback as roll_back

        name = of or _latest_release()
        for one in roll_back(name, version):
            news = f"restored by {one.commit[:8]}" if one.committed else "holds it already"
            print(f"{one.part:8} {one.url}  {news}")
        print(f"main of {name} is {version} again; its later tags stay.")


@app.command()
def clean(
    of: Of = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Of this disk: what nothing used for so long"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it without asking")] = False,
    local: Local = False,
) -> None:
    """Remove release branches that a run left behind. Main and tags are not touched.

    With --older-than instead: finished stages, checkpoints, runs and results on this disk. What a
    run that has not ended needs stays, and what the last release was made from.
    """
    if older_than is not None:
        from flows.clean_disk import clean_disk

        if of is not None:
            raise InputError("--of is of the Hub, --older-than of this disk: give one of them.")
        clean_disk(older_than, yes)
        return
    with hub_of(local):
        from tasks.core.approval import require_none_waiting
        from tasks.core.rollback import clean as remove_branches
        from tasks.core.stage import work_folder

        name = of or _latest_release()
        require_none_waiting(work_folder() / "runs", name)
        removed = remove_branches(name)
        print("\n".join(removed) if removed else f"{name}: no release branch is left.")


def _latest_release() -> str:
    """The merged model's repository of the last release from this work folder, if it is there."""
    from tasks.core.hub import endpoint
    from tasks.core.stage import work_folder

    record = work_folder() / "runs" / "latest" / "release.json"
    if not record.exists():
        raise InputError(f"{record}: no release was made from here. Name it: --of OWNER/NAME.")
    release = json.loads(record.read_text())
    made = [*release["repositories"].values(), *release.get("proposals", [])]
    last = made[-1]  # data set, adapter, merged model
    if not last["url"].startswith(f"{endpoint()}/"):
        raise InputError(
            f"{last['repo']}: the last release from here went to {last['url']}, and this command "
            f"asks {endpoint()}. Name the release: --of OWNER/NAME, or use --local."
        )
    return str(last["repo"])


@app.command()
def hub(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0: the earlier port, or a free one")
    ] = 0,
) -> None:
    """Serve the Hub on this disk (.pairpress/hub) until Ctrl-C."""
    from tasks.core.stage import work_folder

    root = work_folder() / "hub"
    print(
        "In another terminal, once the address is printed:\n"
        f"  export HF_ENDPOINT=<address> HF_TOKEN=$(cat '{root}/token') HF_HUB_DISABLE_XET=1",
        file=sys.stderr,
    )
    command = [sys.executable, "-m", "localhub", "--root", str(root), "--port", str(port)]
    os.execv(sys.executable, command)


@contextlib.contextmanager
def hub_of(local: bool, shared: bool = False) -> Iterator[bool]:
    """The Hub to talk to, set before any library reads it; whether it was started for this command.

    `local`: the one on this disk, or the one that HF_ENDPOINT names if it is on this machine too.
    `shared`: commands that come beside may use it as well while it runs.
    """
    for name in ("NO_PROXY", "no_proxy"):  # no proxy reaches this machine's loopback, or may
        os.environ[name] = ",".join([*filter(None, [os.environ.get(name)]), *LOOPBACK])
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "30")
    named = _named_endpoint()
    if not local or named in LOOPBACK:
        yield False
        return
    from localhub.client_env import client_environment, running
    from tasks.core.stage import work_folder

    work = work_folder()
    with running(work / "hub", shared=shared) as server:
        os.environ.update(client_environment(server.url, server.token, work / "hf"))
        os.environ.pop("HF_WRITE_TOKEN", None)  # of another Hub
        print(f"Hub on this disk: {server.url}, store {server.root}", file=sys.stderr)
        yield True


@contextlib.contextmanager
def _rehearsal_hub(owners: set[str]) -> Iterator[str]:
    """A Hub and a work folder of the rehearsal's own, begun anew: nothing of a person is touched.

    There its user belongs to all whose models and data a recipe names, so that stand-ins may take
    their places.
    """
    import secrets
    import shutil

    from localhub.access import add_user
    from localhub.client_env import client_environment, running
    from tasks.core.stage import locked, work_folder

    work = work_folder()
    home = work / "rehearsals"
    with locked(work / ".rehearsals.lock"):
        if home.exists():
            shutil.rmtree(home)
        (home / "hub").mkdir(parents=True)
        token = f"hf_{secrets.token_hex(16)}"
        add_user(home / "hub", token, "rehearsal", sorted(owners), "write")
        os.environ["PAIRPRESS_HOME"] = str(home)
        with running(home / "hub") as server:
            os.environ.update(client_environment(server.url, token, home / "hf"))
            os.environ.pop("HF_WRITE_TOKEN", None)  # of another Hub
            yield server.url


def _named_endpoint() -> str | None:
    """The host that HF_ENDPOINT names, if it is set."""
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        del os.environ["HF_ENDPOINT"]  # the client reads it at its import, and ends there
        raise InputError(f"HF_ENDPOINT {endpoint!r}: no URL. Set it to https://huggingface.co.")
    return parts.hostname


def _prefect_settings(own_home: bool, beside_up: bool = True) -> None:
    """Quiet. The demo keeps to .pairpress; other recipes use the person's own Prefect.

    `beside_up`: the server of a running `pairpress up` is used, which saves starting one.
    """
    from tasks.core.stage import work_folder
    from tasks.core.up_state import running_api

    prefect = work_folder() / "prefect"
    if beside_up and "PREFECT_API_URL" not in os.environ and (api := running_api(work_folder())):
        os.environ["PREFECT_API_URL"] = api
        print(f"Shown at {api.removesuffix('/api')}/runs, by `pairpress up`", file=sys.stderr)
    if own_home and "PREFECT_API_URL" not in os.environ:
        os.environ.setdefault("PREFECT_HOME", str(prefect))
    for name, value in {
        "PREFECT_LOCAL_STORAGE_PATH": str(prefect / "results"),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # deploy/automations/crashed.yaml waits for it
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # one worker on its own server: a run starts at once
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }.items():
        os.environ.setdefault(name, value)


def _quiet_logs() -> None:
    """What a terminal need not show: mistakes that are told at the end, a library's own notices."""
    from tasks.logs import MistakesInWords

    MistakesInWords.told_elsewhere = True
    _quiet_libraries()


def _quiet_libraries() -> None:
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def _safe(error: Exception) -> str:
    from tasks.core.masking import masked

    return masked(str(error))


def main() -> None:
    from tasks.core.hub import HubUnavailable

    if sys.argv[1:2] and sys.argv[1] in TRAIN:
        from tasks.core.heap import begin_anew

        begin_anew()
    try:
        app()
    except (InputError, HubUnavailable) as error:
        print(f"pairpress: {_safe(error)}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name in OURS:
            raise
        print(
            f"pairpress: {error.name} is not installed, and this command needs it. "
            "Install pairpress with its extras [pipeline,report].",
            file=sys.stderr,
        )
        sys.exit(2)
    except Refused as error:
        print(f"pairpress: {_safe(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
