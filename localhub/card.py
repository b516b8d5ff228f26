"""The text of a README.md -> the metadata in its front matter, what is wrong with it, its tags.

in   "---\\nlicense: mit\\ntags: [dpo]\\n---\\n# Title"     https://huggingface.co/docs/hub/repositories-cards
out  {"license": "mit", "tags": ["dpo"]}, [], ["dpo", "license:mit"]
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

READ = 128 * 1024  # bytes of a README.md that are looked at: YAML takes seconds for so much
_MOST_VALUES = 20_000  # with every alias written out: nine of nine of nine ... fill any memory
_FRONT_MATTER = re.compile(r"\A\s*^---[ \t]*\r?\n(.*?)^---[ \t\r]*$", re.DOTALL | re.MULTILINE)
# Fields that hold one text or a list of texts, and how the Hub turns them into tags.
_PREFIXES = {
    "tags": "",
    "library_name": "",
    "pipeline_tag": "",
    "language": "",
    "license": "license:",
    "datasets": "dataset:",
    "base_model": "base_model:",
    "task_categories": "task_categories:",
    "size_categories": "size_categories:",
}


def front_matter(readme: str) -> dict[str, Any]:
    """ValueError where the block is not a YAML mapping that JSON can carry."""
    block = _FRONT_MATTER.match(readme)
    if block is None:
        return {}
    if len(block[0].encode(errors="replace")) > READ:
        raise ValueError(f"the front matter is over {READ} bytes")
    try:
        metadata = _loaded(block[1])
    except yaml.YAMLError as error:
        raise ValueError(f"the front matter is not valid YAML: {error}") from error
    except RecursionError as error:
        raise ValueError("the front matter is nested too deep") from error
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ValueError(
            f"the front matter is a {type(metadata).__name__}, not a mapping of fields"
        )
    try:  # YAML knows dates and infinities, the reply does not: they become texts
        text = json.dumps(metadata, default=str, ensure_ascii=False)
        text.encode()
        plain: dict[str, Any] = json.loads(text, parse_constant=str)
    except TypeError as error:
        raise ValueError(f"the front matter has a field whose name is no text: {error}") from error
    except UnicodeError as error:
        raise ValueError(f"the front matter has a text that is not UTF-8: {error}") from error
    return plain


def _loaded(text: str) -> object:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_VALUES:
            raise ValueError(f"the front matter has over {_MOST_VALUES} values, aliases included")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values it has with every alias written out, without writing them out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in known:
        known[node] = _MOST_VALUES + 1  # what holds itself has no end
        pairs = node.value if isinstance(node, yaml.MappingNode) else zip(node.value, strict=True)
        known[node] = 1 + sum(_size(each, known) for pair in pairs for each in pair)
    return known[node]


def without_front_matter(readme: str) -> str:
    return _FRONT_MATTER.sub("", readme, count=1)


def complaints(metadata: Mapping[str, Any]) -> list[str]:
    """Fields that the Hub refuses because of their type. `language: no` is YAML for false."""
    return [
        f'"{field}" must be a text or a list of texts, not {json.dumps(metadata[field])}'
        for field in _PREFIXES
        if field in metadata and _texts(metadata[field]) is None
    ]


def card_tags(metadata: Mapping[str, Any]) -> list[str]:
    found = [
        f"{prefix}{text}"
        for field, prefix in _PREFIXES.items()
        for text in _texts(metadata.get(field)) or []
    ]
    return list(dict.fromkeys(found))


def _texts(value: object) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    return None
