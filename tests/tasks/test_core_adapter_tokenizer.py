"""An adapter's tokenizer is the base's own, although no config.json beside it names a model."""

import json
from pathlib import Path

from chat_templates import tokenizer_of

from tasks.core.release import write_adapter
from tasks.core.tokenizer_contract import differences


def test_a_base_whose_class_is_told_by_its_config_alone_keeps_its_rules(tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "trained"
    tokenizer_of(base, "Qwen2.5")
    (base / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    write_adapter(tmp_path / "published", adapter, base)
    told = json.loads((tmp_path / "published" / "tokenizer_config.json").read_text())
    assert told["tokenizer_class"] == "Qwen2Tokenizer"
    assert differences(base, tmp_path / "published") == []
    # Without the class it would have read accents in another way.
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (tmp_path / "published" / "tokenizer_config.json").write_text(json.dumps(told))
    assert differences(base, tmp_path / "published") != []
