"""Own answers by other engines, where there is a GPU: sides of benchmarks/answers.py.

in   a model, its tokenizer, prompts, the longest answer, how many are asked at once
out  texts: transformers' continuous batching, and vLLM through the endpoint that recipes may name
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

PATIENCE = 600  # seconds until a server has loaded


def by_continuous_batching(
    model: Any, tokenizer: Any, prompts: list[list[dict[str, str]]], new: int
) -> list[str]:
    from tasks.core.render import prompt_ids

    ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    stops = set(model.generation_config.eos_token_id)
    found = model.generate_batch(ids, max_new_tokens=new)
    said = {tuple(one.prompt_ids): one.generated_tokens for one in found.values()}
    answers = []
    for prompt in ids:
        tokens = said[tuple(prompt)]
        end = next((place for place, token in enumerate(tokens) if token in stops), None)
        answers.append(tokenizer.decode(tokens[:end], skip_special_tokens=True).strip())
    return answers


@contextmanager
def vllm_serving(model: Any, tokenizer: Any) -> Iterator[str]:
    """The address of a server with this model, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
        told = ["--served-model-name", "own", "--dtype", "float32", "--port", str(port)]
        told += ["--gpu-memory-utilization", "0.4"]  # the other sides keep their model there
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen([*command, *told], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            _wait(server, f"{url}/models", Path(folder) / "log")
            yield url
        finally:
            server.terminate()
            server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        try:
            if httpx2.get(url).is_success:
                return
        except httpx2.RequestError:
            time.sleep(1)
    sys.exit(f"vLLM does not answer:\n{log.read_text()[-2000:]}")


def by_vllm(url: str, prompts: list[list[dict[str, str]]], new: int, batch: int) -> list[str]:
    from tasks.core.endpoint import ask_endpoint
    from tasks.core.settings import Endpoint

    place = Endpoint(url=url, model="own", concurrency=batch)
    settings = {"max_tokens": new, "temperature": 0}
    found = ask_endpoint(place, prompts, samples=1, settings=settings, title="vLLM")
    return [answers[0].text for answers in found]
