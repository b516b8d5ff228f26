"""A plan in sentences, by what a person wants to know of it.

in   Plan
out  sentences under their titles
"""

from tasks.core.plan import Plan
from tasks.core.room import Need
from tasks.core.starting import Source


def sections(plan: Plan) -> dict[str, list[str]]:
    """In the order of reading; what there is nothing to say of is left out."""
    told = {
        "Reads": [_source(one) for one in plan.sources],
        "Data, by its first rows": _data(plan),
        "Takes": [_need(one) for one in plan.room],
        "Finished already": _finished(plan),
        "Time": _time(plan),
        "To know": [*plan.notes],
        "Releases": [_version(plan), *_who_sees_it(plan), *filter(None, [plan.asks])],
    }
    return {title: lines for title, lines in told.items() if lines}


def _source(one: Source) -> str:
    if not one.revision:
        return f"{one.what} {one.name}: {one.note or 'not reached'}"
    commit = one.revision if ":" in one.revision else f"commit {one.revision[:8]}"
    commit = f"sha256 {commit[7:15]}" if commit.startswith("sha256:") else commit
    parts = [commit, size(one.bytes)]
    if one.licence:
        parts.append(f"licence {one.licence}")
    if one.to_fetch:
        parts.append(f"{size(one.to_fetch)} to download")
    return f"{one.what} {one.name}: {', '.join(parts)}"


def _data(plan: Plan) -> list[str]:
    data = plan.data
    if data is None:
        return []
    total = "how many rows is not known" if data.total is None else f"{data.total:,} rows"
    told = [f"{data.read_as}; {total} ({data.counted})"]
    made = f"the first {data.read:,} give {data.rows:,}"
    if data.set_aside:
        reasons = ", ".join(f"{count:,} {code}" for code, count in data.set_aside.items())
        made += f"; set aside: {reasons}"
    told.append(made)
    if data.tokens:
        what = "prompt with its longer answer" if data.answered else "prompt"
        told.append(f"{data.mean:,} tokens a {what} on average, {max(data.tokens):,} at most")
    if plan.pairs:
        told.append(
            "pairs at most: "
            + ", ".join(f"{count:,} for {split}" for split, count in plan.pairs.items())
        )
    return told


def _need(need: Need) -> str:
    free = "not known" if need.free is None else size(need.free)
    parts = ", ".join(f"{what} {size(count)}" for what, count in need.parts.items())
    return f"{need.place}: up to {size(need.needed)} of {free} free ({parts})"


def _finished(plan: Plan) -> list[str]:
    if plan.unchanged or not (plan.finished or plan.next_stage):
        return []
    done = f"{', '.join(plan.finished)}, to be skipped" if plan.finished else "nothing yet"
    following = f"; {plan.next_stage} is the first to be made" if plan.next_stage else ""
    return [done + following]


def _time(plan: Plan) -> list[str]:
    if plan.unchanged:
        return ["seconds: nothing would be made again"]
    return [*plan.estimate] or ["not known: `pairpress rehearse NAME` measures it on this machine"]


def _version(plan: Plan) -> str:
    if plan.unchanged:
        return f"nothing: {plan.unchanged} holds this very release, no commit would be made"
    return f"version {plan.version or 'not known'}"


def _who_sees_it(plan: Plan) -> list[str]:
    if plan.private:
        return [f"in private: {'; '.join(plan.private)}"]
    return ["in public"]


def size(count: int) -> str:
    """
    >>> size(1_234_000_000), size(348)
    ('1.2 GB', '348 bytes')
    """
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= of:
            return f"{count / of:.1f} {unit}"
    return f"{count} bytes"
