"""Files of pairs for the tests of the command line."""

import json
import random
from pathlib import Path

SENTENCE = "the rain came down on a small town and we went home by foot to eat bread at once"


def answers(count: int, seed: int = 0) -> list[str]:
    """Sentences of one source, so that nothing tells one half of them from the other."""
    source, words = random.Random(seed), SENTENCE.split()
    return [" ".join(source.choices(words, k=source.randint(5, 30))) + "." for _ in range(count)]


def natural(count: int = 300, opening: str = "", seed: int = 0) -> list[dict]:
    """Pairs without a shortcut; `opening` stands before every chosen answer."""
    texts = answers(2 * count, seed)
    return [
        {
            "prompt": f"Question {n} of {seed}?",
            "chosen": opening + texts[n],
            "rejected": texts[-n - 1],
        }
        for n in range(count)
    ]


def written(path: Path, rows: list) -> str:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)
