"""The Data Docs page of one run, as a single file that needs no network.

in   a validation result of Great Expectations
out  HTML: Great Expectations' own renderers fill it, those of expectations/coat.py among them

Great Expectations' own page takes its style sheets, icons and scripts from the net, and carries the
time of the run and random ids: unreadable on a machine without a network, and other bytes each time
it is published.
"""

# Great Expectations' base classes have no types that a strict reading accepts.
# mypy: disable-error-code="misc"

import copy
from typing import Any, ClassVar

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render import RenderedDocumentContent
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, DictLoader

TITLE = "Data check of preference pairs"
STYLE = """
body { font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; margin: 2em auto; max-width: 78em;
  padding: 0 1em; color: #1f2328; background: #fff; }
h1 { font-size: 1.5em; margin: 0 0 .2em; } h5 { display: none; }
p { margin: .35em 0; } .note { color: #57606a; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; background: #f6f8fa; }
th, td { padding: .5em .7em; vertical-align: top; border-top: 1px solid #d0d7de; }
td td, td th { padding: .3em .5em; border: 1px solid #d0d7de; font-size: 13px; }
td td { overflow-wrap: anywhere; } td td:first-child { white-space: nowrap; }
td table { margin: .5em 0; }
td:last-child { font-size: 13px; white-space: pre-line; min-width: 14em; }
td td:last-child { white-space: normal; min-width: 0; }
.badge { border-radius: .8em; padding: .05em .6em; font-size: 12px; border: 1px solid; }
.badge-danger { color: #a40e26; } .badge-warning { color: #7d4e00; }
i[class*="fa-"] { font-style: normal; font-size: 1.3em; }
.fa-check-circle::before { content: "\\2714"; color: #1a7f37; }
.fa-times::before { content: "\\2718"; color: #cf222e; }
.fa-exclamation-circle::before { content: "\\26a0"; color: #9a6700; }
.fa-exclamation-triangle::before { content: "\\2757"; color: #cf222e; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="note">{{ note }}</p>
{% for section in sections %}
{% set section_loop = loop -%}
{% include 'section.j2' %}
{% endfor %}
</body>
</html>
"""


class OfflinePage(DefaultJinjaPageView):
    _template: ClassVar[str] = "offline_page.j2"

    def __init__(self) -> None:
        super().__init__()
        own = DictLoader({self._template: PAGE})
        self.env.loader = ChoiceLoader([own, self.env.loader])


def html(result: ExpectationSuiteValidationResult, note: str) -> str:
    """The page about `result`; `note` is the sentence below its title."""
    in_order = copy.copy(result)
    in_order.results = sorted(result.results, key=_rank)
    document = ValidationResultsPageRenderer().render(in_order)
    checks = RenderedDocumentContent(
        renderer_type=document.renderer_type,
        page_title=TITLE,
        expectation_suite_name=document.expectation_suite_name,
        sections=document.sections[1:],  # the first is an overview with links to other pages
        utm_medium=document.utm_medium,
    )
    return str(OfflinePage().render(checks, title=TITLE, style=STYLE, note=note))


def _rank(one: Any) -> tuple[bool, bool]:
    """What crashed or gates, what is only said, what passed."""
    details = one.result.get("details")
    return bool(one.success), details is not None and details["severity"] != "critical"
