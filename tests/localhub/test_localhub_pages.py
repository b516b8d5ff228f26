"""The pages, as HTML and in a real Chromium: what a person sees, what a hostile card cannot do.

Longer than 300 lines because the hostile cards and the browser's tests need the same site.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from localhub.client_env import Server, running
from localhub.compared import differences
from localhub.records import Change, Commit, RepoId
from localhub.rendered import render
from localhub.store import Store

Connect = Callable[..., httpx.Client]
_CHROMIUM = Path("/usr/bin/chromium")
# The smallest red square: https://www.w3.org/TR/png-3/
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
_CARD = """---
license: mit
base_model: pairpress/base
datasets:
- pairpress/pairs
- elsewhere/unknown
model-index:
- name: shown
  results: []
---

# Shown & told

| what | number |
|:-----|-------:|
| one  | 1 |

![a red square](pictures/square.png) ![from elsewhere](https://example.org/spy.png)

[the data](data/notes.txt), [again](./data/notes.txt), [a folder](data), [down](#the-end),
[out](../../other), [the Hub](https://huggingface.co/docs)

```python
print("<b>code</b>")
```

<details open><summary>More</summary>

*inside*

</details>

## The end
## The end
"""


def owner_of(server: Server) -> Store:
    return Store(server.root)


def put(store: Store, repo: RepoId, files: dict[str, bytes], title: str = "files") -> Commit:
    changes = [Change(path, store.keep(content)) for path, content in files.items()]
    return store.commit(
        repo, "main", changes, parent=None, title=title, message="", user="pairpress"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("pages")) as server:
        store = owner_of(server)
        for kind, name, private in (
            ("models", "base", False),
            ("models", "shown", False),
            ("models", "secret", True),
            ("datasets", "pairs", False),
        ):
            store.create(RepoId(kind, "pairpress", name), private, "pairpress", {})
        shown = RepoId("models", "pairpress", "shown")
        files = {
            "README.md": _CARD.encode(),
            "data/notes.txt": b"first\nsecond <script>\n",
            "data/blob.dat": b"\0\1",
            "pictures/square.png": _PNG,
        }
        put(store, shown, files, "files & <b>more</b>")
        store.add_tag(shown, "v1", "main")
        store.add_branch(shown, "release/v2", "main")
        put(store, shown, {"data/notes.txt": b"first\nthird\n"}, "third line")
        yield server


@pytest.fixture(scope="module")
def browse(site: Server, connect: Connect) -> Callable[[str], httpx.Response]:
    """A GET as a browser makes it: without a token."""
    client = connect(site)
    return client.get


def words(reply: httpx.Response) -> str:
    body = re.sub(r"<style>.*?</style>", "", reply.text, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def links(reply: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', reply.text, re.DOTALL)
    return {re.sub("<[^>]+>", "", text).strip(): unescape(href) for href, text in found}


def test_the_front_page_lists_what_is_here(browse: Callable[[str], httpx.Response]) -> None:
    page = browse("/")
    assert page.status_code == 200
    assert links(page)["pairpress/shown"] == "/pairpress/shown"
    assert links(page)["pairpress/pairs"] == "/datasets/pairpress/pairs"
    assert "private" in words(page)  # asked on this machine
    assert re.search(r"pairpress/shown model v1 \S+ \w?B", words(page))


def test_what_is_private_does_not_show_under_another_name(
    site: Server, browse: Callable[..., httpx.Response]
) -> None:
    elsewhere = {"Host": "hub.example.org"}
    assert "pairpress/secret" in browse("/").text
    assert "pairpress/secret" not in browse("/", headers=elsewhere).text
    for page in ("", "/tree/main", "/commits/main", "/refs", "/discussions"):
        assert browse(f"/pairpress/secret{page}").status_code == 200
        assert browse(f"/pairpress/secret{page}", headers=elsewhere).status_code == 404


def test_a_card_is_rendered_with_its_facts(browse: Callable[[str], httpx.Response]) -> None:
    page = browse("/pairpress/shown")
    assert '<h1 id="shown--told">Shown &amp; told</h1>' in page.text
    assert '<td align="right">1</td>' in page.text
    assert 'print("<b>code</b>")' in words(page)
    assert "<em>inside</em>" in page.text
    assert 'id="the-end"' in page.text and 'id="the-end-1"' in page.text
    assert "license: mit" not in words(page)
    assert "license mit" in words(page)
    seen = links(page)
    assert seen["pairpress/base"] == "/pairpress/base"
    assert seen["pairpress/pairs"] == "/datasets/pairpress/pairs"
    assert "elsewhere/unknown" not in seen
    assert seen["the data"] == seen["again"] == "/pairpress/shown/blob/main/data/notes.txt"
    assert seen["a folder"] == "/pairpress/shown/tree/main/data"
    assert seen["down"] == "#the-end"


def test_every_link_of_every_page_leads_somewhere(
    site: Server, browse: Callable[[str], httpx.Response]
) -> None:
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        page = browse(path)
        assert page.status_code == 200, path
        if "/resolve/" in path:
            continue
        assert "<script" not in page.text
        found = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
        for href in map(unescape, found):
            stable = re.sub(r"expires=.*", "", href)
            if stable not in seen:
                seen.add(stable)
                waiting.append(href)
    kinds = {path.split("/")[3] for path in seen if path.startswith("/pairpress/shown/")}
    assert kinds >= {"tree", "blob", "commits", "commit", "refs", "discussions", "resolve"}


def test_folders_files_and_downloads(browse: Callable[[str], httpx.Response]) -> None:
    top = browse("/pairpress/shown/tree/v1")
    assert links(top)["data/"] == "/pairpress/shown/tree/v1/data"
    folder = browse("/pairpress/shown/tree/v1/data")
    assert "21 B" not in words(top)
    assert f"{len(b'first' + b'second <script>') + 2} B" in words(folder)
    text = browse(links(folder)["notes.txt"])
    assert "second &lt;script&gt;" in text.text
    assert browse(links(text)["download"]).content == b"first\nsecond <script>\n"
    assert "not a text" in browse("/pairpress/shown/blob/v1/data/blob.dat").text
    assert browse("/pairpress/shown/blob/release%2Fv2/data/notes.txt").status_code == 200


def test_a_commit_shows_the_lines_that_changed(
    site: Server, browse: Callable[[str], httpx.Response]
) -> None:
    commits = browse("/pairpress/shown/commits/main")
    assert "files &amp; &lt;b&gt;more&lt;/b&gt;</bdi>" in commits.text
    assert re.search(r"files & <b>more</b> (release/v2 )?v1", words(commits))
    newest = next(href for href in links(commits).values() if "/commit/" in href)
    page = browse(newest)
    assert re.search(r'class="minus">-second &lt;script&gt;', page.text)
    assert re.search(r'class="plus">\+third', page.text)
    assert "data/blob.dat" not in page.text


def test_a_person_reads_why_a_page_is_missing(browse: Callable[[str], httpx.Response]) -> None:
    for path in ("/nobody/nothing", "/pairpress/shown/tree/v9", "/pairpress/shown/blob/main/none"):
        page = browse(path)
        assert page.status_code == 404
        assert page.headers["Content-Type"].startswith("text/html")
        assert "no" in words(page)


def test_no_page_lets_a_browser_run_or_fetch_anything(
    browse: Callable[[str], httpx.Response],
) -> None:
    policy = browse("/pairpress/shown").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy and "script-src" not in policy


_HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//example.org/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">a</a>',
    '<a href=" jAvA\tscript:alert(1)">a</a>',
    '<a href="&#106;avascript:alert(1)">a</a>',
    '<a href="data:text/html,<script>alert(1)</script>">a</a>',
    "[a](javascript:alert(1))",
    "[a](<java\nscript:alert(1)>)",
    "![a](javascript:alert(1))",
    "![a](https://example.org/spy.png)",
    '<img src="//example.org/spy.png">',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    '<iframe src="https://example.org"></iframe>',
    '<object data="https://example.org"></object><embed src=x>',
    '<form action="https://example.org"><input name=token><button>Log in</button></form>',
    '<meta http-equiv="refresh" content="0;url=https://example.org">',
    '<base href="https://example.org/">',
    '<link rel=stylesheet href="https://example.org/x.css">',
    "<style>body{background:url(https://example.org/x)}</style>",
    '<div style="background:url(https://example.org/x)" onclick="alert(1)">d</div>',
    '<p class="top" id="x">p</p>',
    "</article></main></body></html><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "# <img src=x onerror=alert(1)>",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
]


@pytest.mark.parametrize("card", _HOSTILE)
def test_a_hostile_card_does_nothing(card: str) -> None:
    page = render(card, link=lambda url: url, image=lambda url: None)
    tags = re.findall(r"<(/?\w+)([^>]*)>", page)
    forbidden = {"script", "svg", "math", "iframe", "object", "embed", "form", "input", "button"}
    forbidden |= {"meta", "base", "link", "style", "html", "body", "main", "article"}
    assert not forbidden & {name.strip("/").lower() for name, _ in tags}
    for _, attributes in tags:
        names = {name.lower() for name in re.findall(r"([\w-]+)=\"", attributes)}
        assert names <= {"href", "src", "alt", "title", "align", "rel", "id"}
        assert not re.search(r"(java\s*script|data):", unescape(attributes), re.IGNORECASE)
        assert "example.org" not in attributes


def test_only_lines_of_short_texts_are_compared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = {"a": store.keep(b"1\n2\n"), "b": store.keep(b"\xff\xfe"), "c": store.keep(b"c")}
    after = {"a": store.keep(b"1\n3\n"), "b": store.keep(b"\xff\xfd"), "d": store.keep(b"d\n")}
    found = {each.path: each for each in differences(before, after, store.blob)}
    assert {path: each.word for path, each in found.items()} == {
        "a": "changed",
        "b": "changed",
        "c": "deleted",
        "d": "added",
    }
    assert found["a"].lines == ["@@ -1,2 +1,2 @@", " 1", "-2", "+3"]
    assert found["b"].lines == []
    assert found["d"].lines[1:] == ["+d"]


def test_a_pull_request_can_be_read(
    site: Server, connect: Connect, browse: Callable[[str], httpx.Response]
) -> None:
    lines: list[dict[str, Any]] = [
        {"key": "header", "value": {"summary": "Say more", "description": "**bold** <script>"}},
        {
            "key": "file",
            "value": {"path": "more.txt", "content": "bW9yZQo=", "encoding": "base64"},
        },
    ]
    with connect(site, site.token) as client:
        client.post(
            "/api/models/pairpress/base/commit/main?create_pr=1",
            content="\n".join(map(json.dumps, lines)),
        ).raise_for_status()
    listed = browse("/pairpress/base/discussions")
    assert "open Say more #1 pull request" in words(listed)
    page = browse(links(listed)["Say more"])
    assert "<strong>bold</strong>" in page.text
    assert "<script" not in page.text
    assert re.search(r'class="plus">\+more', page.text)
    assert "Discussions 1 open" in words(page)


# In a real browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not _CHROMIUM.exists():
        pytest.skip(f"no browser: {_CHROMIUM} is missing")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(_CHROMIUM))
        yield browser
        browser.close()


@pytest.mark.browser
def test_in_a_browser_a_person_finds_a_file_and_downloads_it(
    site: Server, chromium: Any, tmp_path: Path
) -> None:
    page = chromium.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.url)
    page.get_by_role("link", name="pairpress/shown").click()
    assert page.get_by_role("heading", name="Shown & told").is_visible()
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert sizes == [1, 0]  # the picture of the repository loads, the one from elsewhere does not
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name="data/", exact=True).click()
    row = page.get_by_role("row").filter(has_text="notes.txt")
    with page.expect_download() as download:
        row.get_by_role("link", name="download").click()
    assert Path(download.value.path()).read_bytes() == b"first\nthird\n"
    page.get_by_role("link", name="notes.txt").click()
    assert "third" in page.locator("pre.source").inner_text()
    page.get_by_role("link", name="Commits", exact=True).click()
    page.get_by_role("link").filter(has_text=re.compile("^[0-9a-f]{7}$")).first.click()
    assert page.locator(".plus").inner_text().strip() == "+third"
    assert said == []  # no complaint of the browser about anything blocked or missing
    page.close()


@pytest.mark.browser
def test_in_a_browser_hostile_cards_run_nothing_and_ask_nobody(site: Server, chromium: Any) -> None:
    store, repo = owner_of(site), RepoId("models", "pairpress", "hostile")
    store.create(repo, False, "pairpress", {})
    put(store, repo, {"README.md": "\n\n".join(_HOSTILE).encode()})
    page = chromium.new_page()
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{site.url}/pairpress/hostile")
    page.wait_for_timeout(300)
    for link in page.locator("article a").all():
        assert not (link.get_attribute("href") or "").lower().strip().startswith("javascript")
    assert dialogs == []
    assert all(url.startswith(site.url) for url in asked)
    assert page.evaluate("document.scripts.length") == 0
    assert page.locator("header.top").is_visible()
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_text_stands_out_and_nothing_overflows(
    scheme: str, site: Server, chromium: Any
) -> None:
    for width in (1200, 400):
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        page = context.new_page()
        for path in (
            "/",
            "/pairpress/shown",
            "/pairpress/shown/tree/main",
            "/pairpress/shown/refs",
        ):
            page.goto(f"{site.url}{path}")
            overflow = "document.documentElement.scrollWidth - window.innerWidth"
            assert page.evaluate(overflow) <= 0, (path, width)
            pair = "const s = getComputedStyle(document.body); [s.color, s.backgroundColor]"
            colours = page.evaluate(f"(() => {{ {pair.replace('; [', '; return [')} }})()")
            assert _contrast(*colours) >= 7  # WCAG AAA
        context.close()


def _contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""

    def luminance(colour: str) -> float:
        parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
