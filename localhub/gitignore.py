"""A .gitignore and paths -> which of them the upload leaves out.

in   the text of a .gitignore, ["data/raw/x.csv"]      https://git-scm.com/docs/gitignore#_pattern_format
out  those that `git check-ignore` names; ValueError where comparing them would take too long
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# What one letter of a path is compared with, or a star.
_UNIT = re.compile(r"\[(?>[!^]?)(?:\][^]]*|[^]]+)\]|\\?.", re.DOTALL)
LONGEST = 100_000  # letters of a .gitignore; GitHub's longest template has 8,000
# Letters of the rules times letters of the paths and of the folders on their way: 15 seconds at
# the worst. A common .gitignore and the 256 paths that the client asks about at once are a tenth.
_MOST_WORK = 5_000_000_000


@dataclass(frozen=True)
class _Rule:
    regex: re.Pattern[str]
    folders_only: bool
    takes_back: bool
    by_name: bool  # compared with the name alone, at every depth

    def fits(self, path: str, name: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        return self.regex.fullmatch(name if self.by_name else path) is not None


def _letter(unit: str) -> str:
    if len(unit) > 1 and unit[0] == "[":
        negated = unit[1] in "!^"
        members = ""
        for first, last, single in re.findall("(.)-(.)|(.)", unit[1 + negated : -1], re.DOTALL):
            members += re.escape(first or single)
            if last and first <= last:  # of a range that runs backwards, git takes its first letter
                members += "-" + re.escape(last)
        return f"(?!/)[{'^' * negated}{members}]"
    return "[^/]" if unit == "?" else re.escape(unit[-1])


def _name(units: list[str]) -> str:
    """For one name. A star takes as little as what follows it allows, and that is never undone:
    with `(?>` no pattern makes the comparison try all ways there are to share out a name."""
    chunks = [""]
    for unit in units:
        if unit == "*":
            chunks.append("")
        else:
            chunks[-1] += _letter(unit)
    first, *more = chunks
    if not more:
        return first
    *middle, last = more
    taken = "".join(f"(?>[^/]*?{chunk})" for chunk in middle if chunk)
    return f"(?>{first}{taken}[^/]*{last}(?![^/]))"


def _regex(units: list[str]) -> str:
    names: list[list[str]] = [[]]
    for unit in units:
        if unit == "/":
            names.append([])
        else:
            names[-1].append(unit)
    deep = [len(name) > 1 and set(name) == {"*"} for name in names]
    # Between two `**`, the same as between two stars: as little as possible, for good.
    groups, last = [""], len(names) - 1
    for at, name in enumerate(names):
        if not deep[at]:
            groups[-1] += _name(name) + ("/" if at < last else "")
        elif at < last:
            groups.append("")
        else:
            groups[-1] += ".+"
    first, *more = groups
    if not more:
        return first
    *middle, end = more
    taken = "".join(f"(?>(?:[^/]+/)*?{group})" for group in middle if group)
    return f"{first}{taken}(?:[^/]+/)*{end}"


def _rules(text: str) -> list[_Rule]:
    """In the order of the file."""
    rules = []
    for line in text.splitlines():
        pattern = re.sub(r"(?<!\\) +$", "", line)
        if not pattern or pattern.startswith("#"):
            continue
        takes_back = pattern.startswith("!")
        pattern = pattern[takes_back:]
        folders_only = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        # A slash inside ties the pattern to the top folder; without one it holds at every depth.
        by_name = "/" not in pattern
        regex = re.compile(_regex(_UNIT.findall(pattern.removeprefix("/"))))
        rules.append(_Rule(regex, folders_only, takes_back, by_name))
    return rules


def ignored(text: str, paths: Iterable[str]) -> set[str]:
    paths = set(paths)
    work = len(text) * sum(len(path) * (path.count("/") + 1) for path in paths)
    if len(text) > LONGEST or work > _MOST_WORK:
        raise ValueError(
            f"a .gitignore of {len(text)} characters cannot be compared with {len(paths)} paths "
            "at once. Shorten it, or send fewer files at a time."
        )
    rules = _rules(text)
    verdicts: dict[str, bool] = {}  # of files and folders; a folder is asked about only once

    def is_ignored(path: str, is_folder: bool) -> bool:
        key = f"{path}/" if is_folder else path
        if key not in verdicts:
            verdicts[key] = next(
                (
                    not rule.takes_back
                    for rule in reversed(rules)  # the last pattern that matches decides
                    if rule.fits(path, path.rpartition("/")[2], is_folder)
                ),
                False,
            )
        return verdicts[key]

    found = set()
    for path in paths:
        parts = path.split("/")
        folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        # Nothing below an ignored folder can be taken back.
        if any(is_ignored(folder, True) for folder in folders) or is_ignored(path, False):
            found.add(path)
    return found
