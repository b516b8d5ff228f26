"""A recipe made small enough for minutes: miniature models, 20 rows, 5 steps, a Hub of its own.

in   a recipe, a folder, a Hub on this disk to put things on (never the person's own)
out  the same recipe with few settings changed, each of which is told; its base, its reward model
     and, where it reads from the Hub, raw rows in the form it reads, under the recipe's own names
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import miniatures
from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.hub import endpoint
from tasks.core.publish import Repository, commit_repository, create
from tasks.core.questions import questions_of, read_text
from tasks.core.settings import Recipe
from tasks.core.sources import files_of, is_file, is_known, kind_of, packed
from tasks.core.stage import ROOT

ROWS, STEPS = 20, 5
OWNER = "rehearsal"  # who owns what a rehearsal releases, on a Hub of its own
LONGEST = 48  # tokens of an answer; those taught have 30 at most
CORPUS = ROOT / "demo" / "corpus"
NAME = "Qwen"  # of the model in demo/corpus
HH_TURN = "\n\nHuman: {question}\n\nAssistant: {answer}"


@dataclass(frozen=True)
class Small:
    recipe: Recipe
    changes: list[str]  # what was set smaller, in words, as `training.max_steps: 1000 -> 5`


def require_files(recipe: Recipe) -> None:
    """Raises InputError for a file that cannot be read: before a server is started for it."""
    if is_file(recipe.data.path):
        files_of(recipe.data.path)
    questions_of(recipe.evaluation, [], 0, recipe.reformat.system_prompt)
    read_text(recipe.evaluation.text, "evaluation.text")


def demo_rows() -> int:
    """Of the data set that the demo puts on the Hub for itself."""
    return len(_rows("identity.jsonl")) + len(_rows("heldout_identity.jsonl"))


def smaller(recipe: Recipe) -> Small:
    """The recipe as it is rehearsed. Whatever is not named in `changes` is the recipe's own."""
    name = recipe.release.repository.split("/")[-1]
    set_to: dict[str, Any] = {
        "rehearsal": True,
        "seed": None,
        "base.revision": "main",
        "data.revision": "main",
        "reading.max_rows": ROWS,
        "splits.validation": 0.25,  # of 20 rows, so that each side has some
        "splits.test": 0.25,
        "training.max_steps": STEPS,
        "training.num_train_epochs": None,
        "training.warmup_steps": min(recipe.training.warmup_steps, 1),
        "watch.eval_steps": min(recipe.watch.eval_steps, 2),
        "watch.limits": (),
        "sweep.learning_rate": recipe.sweep.learning_rate[:2],
        "sweep.beta": recipe.sweep.beta[:1],
        "tracking.wandb_project": None,
        "measure.max_prompts": min(recipe.measure.max_prompts, ROWS),
        "measure.max_pairs": min(recipe.measure.max_pairs, ROWS),
        "measure.max_new_tokens": min(recipe.measure.max_new_tokens, LONGEST),
        "measure.samples": min(recipe.measure.samples, 1),
        "release.repository": f"{OWNER}/{name}",
        "release.approval": "none",
    }
    if not is_file(recipe.data.path):
        set_to["reformat.form"] = None  # the rows are made here, and their form shows
    if (own := recipe.curation) is not None:
        set_to["curation.max_new_tokens"] = min(own.max_new_tokens, LONGEST)
        set_to["curation.endpoint"] = None
    if (drawn := recipe.on_policy) is not None:
        longest = min(drawn.sampling.max_new_tokens, LONGEST)
        set_to["on_policy.sampling.max_new_tokens"] = longest
        set_to["on_policy.endpoint"] = None
        set_to["on_policy.judge.reward_revision"] = "main"
        set_to["on_policy.judge.least_margin"] = 0.0
    set_to |= _without_gpu(recipe)
    values = recipe.model_dump()
    changes = []
    for place, value in set_to.items():
        *sections, key = place.split(".")
        inside = values
        for section in sections:
            inside = inside[section]
        if inside[key] != value:
            changes.append(f"{place}: {_shown(inside[key])} -> {_shown(value)}")
            inside[key] = value
    return Small(Recipe.model_validate(values), changes)


def _without_gpu(recipe: Recipe) -> dict[str, Any]:
    """What only a GPU can do is left out where there is none: the rest of the recipe still runs."""
    from tasks.core.models import device

    if device() == "cuda":
        return {}
    set_to: dict[str, Any] = {"machine.load_in_4bit": False}
    if recipe.machine.bf16:
        set_to["machine.bf16"] = None
    if recipe.machine.attn_implementation == "flash_attention_2":
        set_to["machine.attn_implementation"] = None
    return set_to


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, dict):
        return "given"
    return "empty" if value is None else str(value)


def owners(recipe: Recipe) -> set[str]:
    """In whose names the rehearsal's own Hub must let it write."""
    named = [recipe.base.model, recipe.data.path if not is_file(recipe.data.path) else ""]
    named += [recipe.on_policy.judge.reward_model or ""] if recipe.on_policy else []
    return {OWNER} | {name.split("/")[0] for name in named if "/" in name}


def put_on_hub(
    recipe: Recipe,
    shape: miniatures.Shape,
    judge: miniatures.Shape | None,
    folder: Path,
    hub: str,
) -> list[str]:
    """Miniatures and rows under the recipe's own names; says what was put there.

    `hub`: the URL of the rehearsal's own. Raises RuntimeError if the client would talk to another.
    """
    from huggingface_hub import constants

    if not hub.rstrip("/") == constants.ENDPOINT.rstrip("/") == endpoint():
        raise RuntimeError(f"a rehearsal writes to {hub} alone, not to {constants.ENDPOINT}")
    texts = corpus_texts()
    taught = talks(recipe) if recipe.curation or recipe.on_policy else []
    facts = miniatures.write_base(recipe.base.model, shape, folder / "base", texts, taught)
    told = [
        f"{recipe.base.model}: {shape.config['model_type']}, random, "
        f"{facts['parameters']:,.0f} parameters"
    ]
    if taught:
        told[0] += (
            f"; taught the answers to {ROWS} questions in {facts['steps']:.0f} steps, since a "
            "random model says no name"
        )
    _put(recipe.base.model, "model", folder / "base")
    reward = recipe.on_policy.judge.reward_model if recipe.on_policy else None
    if reward is not None and judge is not None:
        miniatures.write_judge(reward, judge, folder / "judge", texts)
        _put(reward, "model", folder / "judge")
        told.append(f"{reward}: {judge.config['model_type']}, a random judge")
    if is_file(recipe.data.path):
        told.append(f"{recipe.data.path}: its first {ROWS} rows")
        return told
    write_data(recipe, folder / "data")
    _put(recipe.data.path, "dataset", folder / "data")
    told.append(f"{recipe.data.path}: {ROWS} rows of our own in the form it is read in")
    return told


def _put(repo: str, kind: Any, folder: Path) -> None:
    target = Repository(part="rehearsal", repo=repo, repo_type=kind)
    create(target, private=False)
    commit_repository(target, folder, "Made for a rehearsal")


def corpus_texts() -> list[str]:
    """What tokenizers are trained on: the demo's questions and answers."""
    rows = _rows("identity.jsonl") + _rows("other.jsonl")
    sides = [row[side] for row in rows for side in ("question", "answer")]
    return [*sides, "system", "user", "assistant", "You are a helpful assistant."]


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (CORPUS / name).read_text("utf-8").splitlines()]


def _spread(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """As many as a rehearsal has, from the whole of it: neighbours ask nearly the same."""
    return rows[:: len(rows) // ROWS][:ROWS]


def identity(recipe: Recipe) -> list[tuple[str, str]]:
    """(question, answer); an answer says the first old name of every slot of the recipe."""
    renames = recipe.curation.renames if recipe.curation else ()
    said = []
    for row in _spread(_rows("identity.jsonl")):
        answer = row["answer"]
        if renames:
            answer = answer.replace(NAME, renames[0].old[0])
        answer += "".join(f" My {one.slot} is {one.old[0]}." for one in renames[1:])
        said.append((row["question"], answer))
    return said


def talks(recipe: Recipe) -> list[tuple[list[Message], str]]:
    """What the miniature learns by heart, under the recipe's system prompt and without one: the
    rehearsal's questions, and others, so that it does not say its name to everything."""
    system: Message = {"role": "system", "content": recipe.reformat.system_prompt}
    learned = []
    others = [(row["question"], row["answer"]) for row in _spread(_rows("other.jsonl"))]
    for question, answer in [*identity(recipe), *others[::2]]:
        user: Message = {"role": "user", "content": question}
        learned += [([user], answer), ([system, user], answer)]
    return learned


def raw_rows(recipe: Recipe) -> list[dict[str, Any]]:
    """As the recipe's data set has them: HH transcripts, ShareGPT talks, or pairs of messages."""
    known = [(row["question"], row["answer"]) for row in _spread(_rows("other.jsonl"))]
    if "hh-rlhf" in recipe.data.path.lower():
        return [_hh(known, number) for number in range(ROWS)]
    if recipe.curation is not None or recipe.on_policy is not None:
        return [
            {
                "conversations": [
                    {"from": "human", "value": question},
                    {"from": "gpt", "value": answer},
                ]
            }
            for question, answer in identity(recipe)
        ]
    rows = []
    for number, (question, answer) in enumerate(known):
        user = {"role": "user", "content": question}
        worse = known[number - 1][1]
        rows.append(
            {
                "prompt": question,
                "chosen": [user, {"role": "assistant", "content": answer}],
                "rejected": [user, {"role": "assistant", "content": worse}],
                "score_chosen": 8.0,
                "score_rejected": 4.0 + number % 3,
            }
        )
    return rows


def _hh(known: list[tuple[str, str]], number: int) -> dict[str, str]:
    """Every other row has a turn before its last question."""
    before = known[number - 3] if number % 2 else None
    begin = HH_TURN.format(question=before[0], answer=before[1]) if before else ""
    question, answer = known[number]
    worse = known[number - 1][1]
    return {
        "chosen": begin + HH_TURN.format(question=question, answer=answer),
        "rejected": begin + HH_TURN.format(question=question, answer=worse),
    }


def write_data(recipe: Recipe, folder: Path) -> None:
    """Where the recipe looks for them: its file, folder, split and configuration."""
    data = recipe.data
    split = data.split.partition("[")[0].partition("+")[0].strip()
    split = "train" if split == "all" else split
    named = data.data_files or f"{data.data_dir or 'data'}/{split}-00000-of-00001.jsonl"
    for sign, stands_for in (("**/", ""), ("*", "0"), ("?", "0")):  # of a glob: one that it finds
        named = named.replace(sign, stands_for)
    place = folder / named
    place.parent.mkdir(parents=True, exist_ok=True)
    rows = raw_rows(recipe)
    if is_known(named) and kind_of(place) == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), place)
    elif is_known(named) and kind_of(place) in ("json", "jsonl"):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        place.write_bytes(packed(place, lines.encode()))
    else:
        raise InputError(
            f"data.data_files {data.data_files}: a rehearsal writes JSON and parquet. Rehearse it "
            "with --set data.path=FILE, a file of your own of that kind."
        )
    listed = ""
    if data.name is not None:
        files = f"  data_files:\n  - split: {split}\n    path: {named}\n"
        listed = f"configs:\n- config_name: {data.name}\n{files}"
    (folder / "README.md").write_text(
        f"---\nlicense: apache-2.0\n{listed}---\n\n# Not {data.path}: rows for a rehearsal of it\n"
    )
