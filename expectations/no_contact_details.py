"""No row holds an e-mail address or a phone number.

in   a batch of pairs
out  ExpectNoContactDetails, which asks expectations/measures/contacts.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.contacts import Contacts


class ExpectNoContactDetails(PairsExpectation):
    """No row holds an e-mail address or a phone number."""

    measure: ClassVar = Contacts
