"""The languages are mixed as in the set that it is compared with.

in   a batch of pairs
out  ExpectLanguagesAsInReference, which asks expectations/measures/languages.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.languages import LanguageDrift


class ExpectLanguagesAsInReference(PairsExpectation):
    """The languages are mixed as in the set that it is compared with."""

    measure: ClassVar = LanguageDrift
