"""A .gitignore and a path -> whether the upload leaves the path out.

in   the text of a .gitignore, "data/raw/x.csv"        https://git-scm.com/docs/gitignore#_pattern_format
out  True or False, as `git check-ignore` says
"""

import re


def _regex(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            out, at = out + "(?:[^/]+/)*", at + 3
        elif pattern[at:] == "**" and at > 0 and pattern[at - 1] == "/":
            out, at = out + ".+", at + 2
        elif pattern[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif pattern[at] == "?":
            out, at = out + "[^/]", at + 1
        elif (choice := re.match(r"\[[!^]?\]?[^]]*\]", pattern[at:])) is not None:
            members = choice[0][1:-1].replace("\\", "\\\\")
            members = f"^{members[1:]}" if members[0] in "!^" else members
            out, at = out + f"(?!/)[{members}]", at + len(choice[0])
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            out, at = out + re.escape(pattern[at]), at + 1
    return out


def _rules(text: str) -> list[tuple[re.Pattern[str], bool, bool]]:
    """(regex, for folders only, takes back) for each pattern, in the order of the file."""
    rules = []
    for line in text.splitlines():
        pattern = re.sub(r"(?<!\\) +$", "", line)
        if not pattern or pattern.startswith("#"):
            continue
        negated = pattern.startswith("!")
        pattern = pattern[negated:]
        folders_only = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        # A slash inside ties the pattern to the top folder; without one it holds at every depth.
        anchored = "/" in pattern
        regex = _regex(pattern.removeprefix("/") if anchored else f"**/{pattern}")
        rules.append((re.compile(regex), folders_only, negated))
    return rules


def ignored(text: str, path: str) -> bool:
    parts = path.split("/")
    rules = _rules(text)
    for depth in range(1, len(parts) + 1):
        verdict = False
        for regex, folders_only, negated in rules:  # the last pattern that matches decides
            if (depth < len(parts) or not folders_only) and regex.fullmatch(
                "/".join(parts[:depth])
            ):
                verdict = not negated
        if verdict:  # nothing below an ignored folder can be taken back
            return True
    return False
