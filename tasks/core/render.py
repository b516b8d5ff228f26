"""Messages -> token ids by the model's own chat template, as TRL's DPOTrainer renders them.

in   rows with "prompt" and perhaps "chosen", "rejected"; the base model's tokenizer
out  the rows with "tokens" (the longer of the two sides, prompt included) and "prompt_is_prefix"

What is wrong with one row sets it aside: the template refuses it, its answer holds the end of
sequence, it is over the limit; nothing is truncated. What is wrong with template or tokenizer would
teach a text that the model never sees when it is asked, so it refuses the run: a prompt that is no
prefix of prompt + answer, an answer without its end of sequence or with two, a doubled beginning.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expectations.measures.measure import several
from tasks.core.aside import set_aside
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.models import stop_ids
from tasks.core.progress import progress
from tasks.core.token_faults import SIDES, Rendered, judge

BATCH = 1_000  # rows tokenised at once: of HH-RLHF about 30 MB of token ids
ROWS_TOLD = 8  # further rows that are named when a run is refused

# What a template is tried on whatever the data is; its answers begin and end like any text.
PLAIN: list[list[Message]] = [
    [{"role": "user", "content": "Who are you?"}],
    [
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "An assistant."},
        {"role": "user", "content": "And what is this?"},
    ],
]
PLAIN_ANSWER: list[Message] = [{"role": "assistant", "content": "A plain answer."}]


def require_chat_template(tokenizer: Any, model: str) -> None:
    """DPO starts from an instruct model; a base without a chat template is refused."""
    if not tokenizer.chat_template:
        raise InputError(
            f"{model}: its tokenizer has no chat template, so it is not a chat model. "
            "Set base.model to an instruct model, or train one first (SFT)."
        )


def require_renders(tokenizer: Any, rows: list[Row], name: str) -> None:
    """Try the template of model `name` on plain questions and the first rows, before anything long.

    Prompts without answers are tried with a plain one. Raises InputError.
    """
    require_chat_template(tokenizer, name)
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{name}: its tokenizer has no end-of-sequence token, so no answer would ever end. "
            "Set base.model to a model whose tokenizer_config.json names an eos_token."
        )
    plain = rendered(tokenizer, [{"prompt": one, "chosen": PLAIN_ANSWER} for one in PLAIN])
    for one in plain:
        if one.wrong or one.unfit:
            raise InputError(f"{name}: a plain question and answer: {one.wrong or one.unfit}")
    if not rows:
        return
    judged = rendered(tokenizer, [{"chosen": PLAIN_ANSWER} | row for row in rows])
    _refuse([(row["row"], one.wrong) for row, one in zip(rows, judged, strict=True) if one.wrong])
    if all(one.unfit for one in judged):
        raise InputError(
            f"{name}: none of the first {len(rows)} rows can be rendered; {judged[0].unfit}. "
            "If it is about system messages, set reformat.system to drop; or choose another "
            "base.model."
        )


def tokenizer_notes(tokenizer: Any) -> list[str]:
    """What this tokenizer pads with, and what begins and ends its texts: one sentence each."""
    eos, bos = tokenizer.eos_token, tokenizer.bos_token
    safe = f"Padding is masked by length, so the {eos} that ends an answer is trained on."
    if tokenizer.init_kwargs.get("pad_token") is None:
        pad = f"The tokenizer has no pad token: {tokenizer.pad_token} pads. {safe}"
    elif tokenizer.pad_token == eos:
        pad = f"The tokenizer pads with its end of sequence {eos}. {safe}"
    else:
        pad = f"The tokenizer pads with {tokenizer.pad_token}."
    prompt = prompt_ids(tokenizer, PLAIN[0])
    said = answer_ids(tokenizer, PLAIN[0], PLAIN_ANSWER)[len(prompt) :]
    ends = [one for one in said if one in stop_ids(tokenizer)]
    end = f"Answers end with {', then '.join(tokenizer.convert_ids_to_tokens(ends))}."
    if bos is None:
        return [pad, end, "The tokenizer has no beginning of sequence."]
    if prompt[:1] == [tokenizer.bos_token_id]:
        return [pad, end, f"The chat template writes {bos} itself; it is not added again."]
    return [pad, end, f"The chat template writes no {bos}; none is added."]


def prompt_ids(tokenizer: Any, prompt: list[Message]) -> list[int]:
    """Token ids of a prompt, up to and including the opening of the assistant's turn."""
    ids: list[int] = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
    return ids


def answer_ids(tokenizer: Any, prompt: list[Message], answer: list[Message]) -> list[int]:
    """Token ids of prompt + answer, with what the template puts after the answer."""
    ids: list[int] = tokenizer.apply_chat_template(prompt + answer)["input_ids"]
    return ids


def injected_system(tokenizer: Any) -> str | None:
    """The system message that a template adds where none is given (Qwen2.5's says who it is)."""
    from jinja2 import TemplateError

    bare = tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False)
    given = [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": "Q"}]
    try:
        whole = tokenizer.apply_chat_template(given, tokenize=False)
    except TemplateError:  # Gemma's knows no system role
        return None
    before, _, after = whole.partition("SYSTEM")
    if after and bare.startswith(before) and bare.endswith(after):
        return str(bare[len(before) : len(bare) - len(after)]) or None
    return None


def measure_file(source: Path, target: Path, tokenizer: Any, max_length: int) -> list[Row]:
    """Write the rows of a parquet file that can be trained on, with "tokens" and
    "prompt_is_prefix"; return those set aside. Raises InputError, with all rows that are wrong."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    schema = file.schema_arrow.append(pa.field("tokens", pa.int64()))
    schema = schema.append(pa.field("prompt_is_prefix", pa.bool_()))
    columns = [name for name in ("row", "prompt", *SIDES) if name in file.schema_arrow.names]
    aside: list[Row] = []
    wrong: list[tuple[int, str]] = []
    with (
        pq.ParquetWriter(target, schema) as writer,
        progress("rows rendered", file.metadata.num_rows, "row") as advance,
    ):
        for batch in file.iter_batches(BATCH):
            rows = batch.select(columns).to_pylist()
            judged = rendered(tokenizer, rows)
            good, unfit, refused = _sort_out(rows, judged, max_length)
            aside += unfit
            wrong += refused
            places = [place for place, is_good in enumerate(good) if is_good]
            kept = batch.take(pa.array(places, pa.int64()))
            tokens = pa.array([judged[place].tokens for place in places], pa.int64())
            prefix = pa.array([True] * len(places), pa.bool_())
            table = pa.table([*kept.columns, tokens, prefix], schema=schema)
            writer.write_table(table)
            advance(len(rows))
    _refuse(wrong)
    return aside


def measure_tokens(rows: list[Row], tokenizer: Any, max_length: int) -> tuple[list[Row], list[Row]]:
    """(rows with "tokens" and "prompt_is_prefix", set aside). Raises InputError as a file does."""
    judged = rendered(tokenizer, rows)
    good, aside, wrong = _sort_out(rows, judged, max_length)
    _refuse(wrong)
    kept = [
        row | {"tokens": one.tokens, "prompt_is_prefix": True}
        for row, one, is_good in zip(rows, judged, good, strict=True)
        if is_good
    ]
    return kept, aside


def counted(tokenizer: Any, row: Row) -> tuple[int | None, bool | None]:
    """(tokens of the longer side, whether the prompt is a token prefix of both); (None, False) for
    a row that the chat template refuses."""
    one = rendered(tokenizer, [row])[0]
    return one.tokens, one.is_prefix


def rendered(tokenizer: Any, rows: list[Row]) -> list[Rendered]:
    """Every row by the chat template: the texts one by one, their tokens a batch at a time."""
    starts = range(0, len(rows), BATCH)
    return [one for start in starts for one in _batch(tokenizer, rows[start : start + BATCH])]


def _batch(tokenizer: Any, rows: list[Row]) -> Iterator[Rendered]:
    from jinja2 import TemplateError

    texts: list[list[str]] = []  # of the rows that the template takes
    found: list[Rendered | int] = []  # or the row's place in `texts`
    for row in rows:
        try:
            of_row = _texts(tokenizer, row)
            left_out = _left_out(tokenizer, row["prompt"], of_row[0])
        except TemplateError as error:
            found.append(Rendered(unfit=f"the chat template refuses it: {error}"))
            continue
        if left_out:
            found.append(Rendered(unfit=f"the chat template leaves out its {left_out} message"))
            continue
        found.append(len(texts))
        texts.append(of_row)
    ids = _ids(tokenizer, texts)
    stops = stop_ids(tokenizer)
    for row, one in zip(rows, found, strict=True):
        yield one if isinstance(one, Rendered) else judge(tokenizer, stops, row, ids[one])


def _texts(tokenizer: Any, row: Row) -> list[str]:
    """The prompt, and the prompt with each answer, as text."""
    prompt = row["prompt"]
    asked = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    answers = [row[side] for side in SIDES if row.get(side) is not None]
    return [asked, *(tokenizer.apply_chat_template(prompt + a, tokenize=False) for a in answers)]


def _left_out(tokenizer: Any, prompt: list[Message], text: str) -> str | None:
    """The role of a message that the template drops without a word, as some do with tools."""
    for place, message in enumerate(prompt):
        if message["role"] in ("user", "assistant") or message["content"].strip() in text:
            continue
        other = [*prompt[:place], message | {"content": "something else"}, *prompt[place + 1 :]]
        if text == tokenizer.apply_chat_template(other, tokenize=False, add_generation_prompt=True):
            return str(message["role"])
    return None


def _ids(tokenizer: Any, of_rows: list[list[str]]) -> list[list[list[int]]]:
    """Token ids of each row's texts: the prompt, and the prompt with each answer.

    A special token parts a text before anything else reads it. So up to the last one in the prompt,
    its tokens are those of prompt + answer too, and only what follows is tokenised again.
    """
    prompts = _tokenised(tokenizer, [texts[0] for texts in of_rows])
    marks = _special(tokenizer)
    heads: list[list[int]] = []
    tails: list[str] = []
    for (asked, *answered), prompt in zip(of_rows, prompts, strict=True):
        place = next((n for n in reversed(range(len(prompt))) if prompt[n] in marks), 0)
        mark = marks.get(prompt[place], "")
        cut = asked.rfind(mark) if mark else 0
        for text in answered:
            shared = cut >= 0 and text.startswith(asked[: cut + len(mark)])
            heads.append(prompt[:place] if shared else [])
            tails.append(text[cut:] if shared else text)
    said = map(list.__add__, heads, _tokenised(tokenizer, tails))
    return [
        [prompt, *(next(said) for _ in texts[1:])]
        for texts, prompt in zip(of_rows, prompts, strict=True)
    ]


def _special(tokenizer: Any) -> dict[int, str]:
    """Ids and texts of the tokens that are found in a text as it stands."""
    if not tokenizer.is_fast:
        return {}
    tokens = tokenizer.added_tokens_decoder.items()
    return {number: one.content for number, one in tokens if one.special and not one.normalized}


def _tokenised(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of texts in which the template has already written every special token."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, verbose=False
    )["input_ids"]
    return ids


def _sort_out(
    rows: list[Row], judged: list[Rendered], max_length: int
) -> tuple[list[bool], list[Row], list[tuple[int, str]]]:
    """(is the row kept, rows set aside, (row, what is wrong) of those that refuse the run)."""
    good, aside, wrong = [], [], []
    for row, one in zip(rows, judged, strict=True):
        text = row["prompt"][-1]["content"]
        if one.wrong:
            wrong.append((row["row"], one.wrong))
        elif one.unfit:
            aside.append(set_aside(row["row"], one.code, one.unfit, text))
        elif one.tokens is None or one.tokens > max_length:
            reason = f"{one.tokens} tokens, over the limit of {max_length}"
            aside.append(set_aside(row["row"], "too-long", reason, text))
        else:
            good.append(True)
            continue
        good.append(False)
    return good, aside, wrong


def _refuse(wrong: list[tuple[int, str]]) -> None:
    if not wrong:
        return
    row, what = wrong[0]
    others = ", ".join(str(number) for number, _ in wrong[1 : ROWS_TOLD + 1])
    dots = ", ..." if len(wrong) > ROWS_TOLD + 1 else ""
    more = f" Wrong as well: {several(len(wrong) - 1, 'row')} ({others}{dots})." if others else ""
    raise InputError(f"row {row}: {what}{more}")
