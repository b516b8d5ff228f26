"""A card's Markdown, with whatever HTML is in it -> HTML that can do nothing but be read.

in   Markdown (tables, code, HTML), and what becomes of its links and images
     https://spec.commonmark.org   https://nh3.readthedocs.io
out  HTML of a short list of tags; no script, no style, no form, nothing that is fetched from
     elsewhere; headings with ids, so that a card's own table of contents leads somewhere
"""

import itertools
import re
from collections.abc import Callable

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

Where = Callable[[str], str | None]  # a URL as written -> the one to use; None leaves it out

_TEXT = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "span", "br", "hr", "blockquote", "pre"}
_WORDS = {"a", "b", "strong", "i", "em", "u", "s", "del", "ins", "code", "kbd", "samp", "var"}
_MORE = {"sub", "sup", "small", "mark", "abbr", "center", "img", "figure", "figcaption"}
_LISTS = {"ul", "ol", "li", "dl", "dt", "dd", "details", "summary"}
_TABLES = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height", "align"},
    "th": {"align", "colspan", "rowspan"},
    "td": {"align", "colspan", "rowspan"},
    "ol": {"start"},
    "details": {"open"},
    "abbr": {"title"},
    **{tag: {"align"} for tag in ("p", "div", "table")},
    **{f"h{level}": {"align", "id"} for level in range(1, 7)},
}


def render(text: str, link: Where, image: Where) -> str:
    def filtered(tag: str, attribute: str, value: str) -> str | None:
        if (tag, attribute) == ("a", "href"):
            return value if value.startswith("#") else link(value)
        if (tag, attribute) == ("img", "src"):
            return image(value)
        return value

    return nh3.clean(
        _html(text),
        tags=_TEXT | _WORDS | _MORE | _LISTS | _TABLES,
        clean_content_tags={"script", "style", "title", "textarea", "iframe", "noscript"},
        attributes=_ATTRIBUTES,
        attribute_filter=filtered,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def _html(text: str) -> str:
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = markdown.parse(text)
    taken: set[str] = set()
    for token, following in itertools.pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _free_id(following, taken))
        elif token.type in ("th_open", "td_open") and (style := token.attrGet("style")):
            # Styles are left out of the page: the alignment of a column is kept as an attribute.
            token.attrs = {"align": str(style).rpartition(":")[2]}
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _free_id(heading: Token, taken: set[str]) -> str:
    """As the Hub makes them: lower case, dashes for spaces; a number where it is taken."""
    words = "".join(
        part.content for part in heading.children or [] if part.type in ("text", "code_inline")
    )
    name = re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", words.strip().lower())) or "section"
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
