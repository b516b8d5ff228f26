"""Prompt and answers of a row are in one script.

in   a batch of pairs
out  ExpectOneLanguageARow, which asks expectations/measures/languages.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.languages import Languages


class ExpectOneLanguageARow(PairsExpectation):
    """Prompt and answers of a row are in one script."""

    measure: ClassVar = Languages
