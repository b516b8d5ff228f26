"""Cards: ours between two markers, people's words around them, both heads in one.

in   what is known of a release; README.md as people left it on the Hub
out  README.md of each part, which says nothing that is not known
     https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks.core.errors import InputError
from tasks.core.front_matter import parted, read_front_matter, written_keys
from tasks.core.licences import NOBODY, Upstream
from tasks.core.manifest import PARTS, TEMPLATES

BEGIN, END = "<!-- pairpress:begin -->", "<!-- pairpress:end -->"
MARKED = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
EMPTY = f"{BEGIN}\n{END}"
SIGNATURE = "Made by pairpress, version"  # the last line of a card from before there were markers
SPECIAL = re.compile(r"([\\`*_\[\]<>|~$])")  # an answer of a model is text and no Markdown
SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
# Of the head: else nobody could tell a key that people added from one that we no longer write.
OUR_HEAD = "<!-- ours above: {keys}; tags: {tags} -->"
LICENCE = frozenset(["license", "license_name", "license_link"])  # one says what the other means
HEAD_TOLD = re.compile(r"<!-- ours above: (.*?); tags: (.*?) -->")


def peoples(readme: str) -> str:
    """What people wrote of a published card: keys and tags of theirs, text outside our markers.

    Raises InputError where a marker is missing: nobody could tell whose words are whose.
    """
    head, body = parted(readme)
    marks = body.count(BEGIN), body.count(END)
    told = HEAD_TOLD.search(body)
    if marks == (0, 0) and SIGNATURE in body:
        return ""
    if marks == (0, 0):
        body = f"\n{EMPTY}\n\n{body.lstrip()}" if body.strip() else EMPTY
    elif marks != (1, 1) or not MARKED.search(body):
        raise InputError(
            f"README.md on the Hub: the lines {BEGIN} and {END} do not stand there once each, in "
            "this order. Put them back around what pairpress wrote, or take out both and that text."
        )
    else:
        body = MARKED.sub(EMPTY, body)
    our_keys, our_tags = (set(part.split()) for part in told.groups()) if told else (set(), set())
    theirs = {key: text for key, text in written_keys(head).items() if key not in our_keys}
    theirs.pop("tags", None)
    tags = [tag for tag in _tags(readme) if tag not in our_tags]
    lines = "".join(theirs.values()) + (_yaml({"tags": tags}) if tags else "")
    if not lines and not body.replace(EMPTY, "").strip():
        return ""
    return (f"---\n{lines}---\n" if lines else "") + body


def joined(ours: str, people: str) -> str:
    """Our card with people's words around it; where both have a key, or a licence, ours stands."""
    if not people:
        return ours
    our_head, our_body = parted(ours)
    their_head, their_body = parted(people)
    our_keys = written_keys(our_head)
    if tags := [tag for tag in _tags(people) if tag not in _tags(ours)]:
        our_keys["tags"] = _yaml({"tags": [*_tags(ours), *tags]})
    taken = our_keys.keys() | (LICENCE if LICENCE & our_keys.keys() else frozenset())
    kept = {key: text for key, text in written_keys(their_head).items() if key not in taken}
    ours_marked = MARKED.search(our_body)
    assert ours_marked is not None, "a card of ours has both markers"
    before, _, after = their_body.partition(EMPTY)
    lines = "".join([*our_keys.values(), *kept.values()])
    return f"---\n{lines}---\n{before}{ours_marked[0]}{after}"


def write_cards(folder: Path, facts: Mapping[str, Any], people: Mapping[str, str]) -> None:
    """README.md of all three parts; a blank left in a template is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown for the Hub, not HTML
    )
    templates.filters["cell"] = lambda text: SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
    templates.filters["code"] = lambda text: " ".join(str(text).replace("`", "'").split())
    for part in PARTS:
        body = templates.get_template(f"{part}.md.j2").render(**facts)
        body = body.replace(BEGIN, "").replace(END, "")  # an answer of a model may hold anything
        text = joined(card_of(header(part, facts), body), people.get(part, ""))
        (folder / part / "README.md").write_text(text, encoding="utf-8", newline="")


def card_of(head: Mapping[str, Any], body: str) -> str:
    """A card all of which is ours."""
    told = OUR_HEAD.format(keys=" ".join(head), tags=" ".join(head.get("tags", ())))
    return f"---\n{_yaml(head)}---\n\n{BEGIN}\n{told}\n{body.strip()}\n\n{END}\n"


def header(part: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The front matter. Licence and language are upstream's."""
    upstream: Upstream = facts["upstreams"].get("data" if part == "dataset" else "base", NOBODY)
    found = licence_keys(upstream)
    if upstream.language:
        found["language"] = list(upstream.language)
    if part == "dataset":
        return found | _of_data(facts)
    repos = facts["repos"]
    return found | {
        "base_model": facts["base"].repo,
        "base_model_relation": "adapter" if part == "adapter" else "finetune",
        "library_name": "peft" if part == "adapter" else "transformers",
        "pipeline_tag": "text-generation",
        "datasets": [repos["dataset"]],
        "tags": ["dpo", *(["lora"] if part == "adapter" else []), "trl", "pairpress"],
        "model-index": facts["model_index"][part],
    }


def licence_keys(upstream: Upstream) -> dict[str, Any]:
    """license, license_name, license_link; `other` and unknown where upstream names none."""
    licences = list(upstream.licences)
    found: dict[str, Any] = {"license": licences[0] if len(licences) == 1 else licences}
    if upstream.name:
        found["license_name"] = upstream.name
    if upstream.link:
        found["license_link"] = upstream.link
    return found


def _of_data(facts: Mapping[str, Any]) -> dict[str, Any]:
    counts: Mapping[str, int] = facts["counts"]
    total = sum(counts.values())
    configs = [_config("default", "data", counts)]
    if facts["completions"]:
        configs.append(_config("completions", "completions", facts["completions"]))
    data = facts["upstreams"].get("data")
    return {
        **({"source_datasets": [data.repo]} if data else {}),
        "task_categories": ["text-generation"],
        "tags": ["dpo", "preference", "trl", "pairpress"],
        "size_categories": [next((name for limit, name in SIZES if total < limit), "n>1M")],
        "configs": configs,
    }


def _config(name: str, folder: str, splits: Any) -> dict[str, Any]:
    files = [{"split": split, "path": f"{folder}/{split}.parquet"} for split in splits]
    return {"config_name": name, "data_files": files}


def _tags(card: str) -> list[str]:
    found = read_front_matter(card).get("tags", [])
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def _yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=10_000)
