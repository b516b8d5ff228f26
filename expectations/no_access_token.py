"""No row gives away an access token or a private key.

in   a batch of pairs
out  ExpectNoAccessToken, which asks expectations/measures/access_tokens.py
"""

from typing import ClassVar

from expectations.coat import PairsExpectation
from expectations.measures.access_tokens import AccessTokens


class ExpectNoAccessToken(PairsExpectation):
    """No row gives away an access token or a private key."""

    measure: ClassVar = AccessTokens
