"""Phones as people write them, and as we compare them: with or without +55, with or without the ninth digit."""

import hashlib
import hmac
import re

from django.conf import settings

BRAZIL = "55"


def normalised(text: str) -> str:
    """Return a phone's digits as they are compared, `+55 11 99999-9999` as `1199999999`; empty where there are none.

    Brazil's country code and the ninth digit of its mobiles are left out, so that what a far end wrote with them is
    found without them, and the other way round. A phone of another country keeps all of its digits.
    """
    digits = re.sub(r"\D", "", text)
    abroad = text.lstrip().startswith("+") and not digits.startswith(BRAZIL)
    if abroad:
        return digits
    national = digits[2:] if len(digits) in (12, 13) and digits.startswith(BRAZIL) else digits
    return national[:2] + national[3:] if len(national) == 11 and national[2] == "9" else national


def digest(phone: str) -> int:
    """Return what stands for a phone where it may not be stored: the same for each way of writing it.

    It is keyed by our pepper, so that nobody who reads the table can try all phones. A new pepper finds nothing older.
    """
    told = hmac.new(f"phone:{settings.API_KEY_PEPPER}".encode(), normalised(phone).encode(), hashlib.sha256).digest()
    return int.from_bytes(told[:8], "big", signed=True)
