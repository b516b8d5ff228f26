"""The YAML at the head of a card, between two lines of three dashes.

in   a README.md as the Hub has it
out  its keys and values, all scalars as text; or its lines key by key, each as it was written
     https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import re

import yaml

# What the Hub's own client takes for one (REGEX_YAML_BLOCK in huggingface_hub.repocard), with empty
# lines before it too, and also one behind a byte order mark.
HEADER = re.compile(
    r"\A\ufeff?\s*---[ \t]*(?:\r\n|\r|\n)(.*?)(?<=[\r\n])---[ \t]*(?:\r\n|\r|\n|\Z)", re.DOTALL
)
KEY = re.compile(r"^(?P<key>[^\s#:\-\"'][^:\n]*|\"[^\"\n]*\"|'[^'\n]*'):(?=\s|$)")


def parted(card: str) -> tuple[str, str]:
    """(the header's lines, the rest); no header: an empty one."""
    found = HEADER.match(card)
    return (found[1], card[found.end() :]) if found else ("", card)


def read_front_matter(card: str) -> dict[str, object]:
    """Scalars stay text: `no` is Norwegian, not false. A header that is no YAML says nothing."""
    try:
        found = yaml.load(parted(card)[0], Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def written_keys(header: str) -> dict[str, str]:
    """Key -> its lines, with what is indented below it; comments go with the key before them."""
    found: dict[str, str] = {}
    key = ""
    for line in header.splitlines(keepends=True):
        if begins := KEY.match(line):
            key = begins["key"].strip("\"' ")
        found[key] = found.get(key, "") + line
    found.pop("", None)  # what stands before the first key
    return found
