"""A chat model and questions -> its greedy answers, for a person at a terminal.

in   Hub repository or local folder, perhaps an adapter of either kind
out  one answer a question
"""

from tasks.core.errors import InputError
from tasks.core.generate import generate
from tasks.core.models import device, load_tokenizer_at, repository_folder
from tasks.core.render import require_chat_template


def answers(
    model: str, adapter: str | None, questions: list[str], system: str | None, max_new_tokens: int
) -> list[str]:
    """Raises InputError if the model cannot be read or is no chat model."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = repository_folder(model)
    tokenizer = load_tokenizer_at(folder)
    require_chat_template(tokenizer, model)
    try:
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{model}: no causal language model can be loaded ({reason}).") from error
    if adapter is not None:
        path = repository_folder(adapter)
        if not (path / "adapter_config.json").is_file():
            raise InputError(f"--adapter {adapter}: no adapter_config.json, so no LoRA weights.")
        try:
            loaded = PeftModel.from_pretrained(loaded, str(path))
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"--adapter {adapter}: does not fit {model} ({reason}).") from error
    before = [{"role": "system", "content": system}] if system else []
    prompts = [[*before, {"role": "user", "content": question}] for question in questions]
    found = generate(
        loaded.to(device()).eval(),
        tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=len(prompts),
    )
    return [answer.text for answer in found]
