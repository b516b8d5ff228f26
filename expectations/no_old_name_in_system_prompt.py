"""What the chat template adds by itself does not say another name.

in   a batch of pairs
out  ExpectNoOldNameInSystemPrompt, which asks expectations/measures/system_prompt.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.system_prompt import SystemPrompt


class ExpectNoOldNameInSystemPrompt(PairsExpectation):
    """What the chat template adds by itself does not say another name."""

    measure: ClassVar = SystemPrompt
