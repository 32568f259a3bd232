"""Takes secrets and personal data out of everything that is stored or logged."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "•••"
LOOKED_THROUGH = 4_000
"""So many characters of JSON data are looked through for phones."""

SHOWN_HEADERS = {
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-request-id",
    "x-simulated",
}
"""What a header may say in the open; of all others only the name is kept."""

HUSHED = (
    r"(?:[\w.-]*(?:token(?!s)|secret|passw(?:or)?d|senha|(?:api|access|private|client)[-_]?key|signature|credential)[\w.-]*"
    r"|(?:proxy-)?authorization|(?:set-)?cookie)"
)
"""Names whose values are secrets: of headers, of query parameters, in forms and JSON."""

_HUSHED = re.compile(HUSHED, re.IGNORECASE)
_MAY_HUSH = re.compile(
    r"token|secret|passw|senha|(?:api|access|private|client)[-_]?key|signature|credential|authorization|cookie",
    re.IGNORECASE,
)
"""Without one of these words no name is a secret's: looked for first, for most texts hold none."""
_NAMED = re.compile(
    rf"""(["']?(?<![\w.-]){HUSHED}["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:Bearer|Basic)\s+)?[^\s,;&"'<>]+)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_IN_PATH = re.compile(r"(/(?:token|webhook/[\w-]+)/)[^/?#\s\"']+", re.IGNORECASE)
_USER = re.compile(r"(https?://)[^/\s@]+@", re.IGNORECASE)
_EMAIL = re.compile(r"\b([\w+-])[\w.+-]*@([\w-])[\w.-]*\.\w+")
_CPF = re.compile(r"(?<![\w.-])\d{3}(\.?)(\d{3})(\.?)(\d{3})(-?)\d{2}(?![\w-]|\.\d)")
_CPF_SHOWN = r"***\g<1>\g<2>\g<3>\g<4>\g<5>**"
_PHONE = re.compile(
    r"""(?<![\w.-])(
        \+?55[\s-]?\(?[1-9]\d\)?[\s-]?9?   # with the country
        | \([1-9]\d\)[\s-]?9?              # written as a phone
        | [1-9]\d[\s-]?9                   # a mobile
        | [1-9]\d\s(?=\d{4}-)              # the same, of the older kind
        | [1-9]\d[\s-]?(?=[2-5])           # a landline; what else has ten digits is a time or an id
    )\d{4}([\s-]?)(\d{4})(?![\w-]|\.\d)""",
    re.VERBOSE,
)
_MAY_BE_PEOPLE = re.compile(r"(?<![\w.-])[+(]?\d\d[\d\s().-]{8}")
"""How every CPF and every phone begins; most ids, times and traces do not."""
_SIGNS = (
    *("token", "secret", "passw", "senha", "key", "signature", "credential", "authorization", "cookie"),
    *("bearer", "basic", "/", "@", "\x00"),
)
"""One of these, or the beginning of a CPF or a phone, stands in every text of ASCII that has to be masked."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without secrets, CPFs, phones and e-mail addresses. `secrets` are values known to be secret."""
    for secret in filter(None, secrets):
        text = text.replace(secret, HIDDEN)
    if _is_harmless(text):
        return text
    text = _without_secrets(storable(text))
    if "@" in text:
        text = _EMAIL.sub(r"\g<1>***@\g<2>…", text)
    return _without_people(text)


def _is_harmless(text: str) -> bool:
    """Say whether a text holds none of what all that is hidden has: most hold none, and looking for each takes five times as long."""
    if not text.isascii():
        return False
    told = text.lower()
    for sign in _SIGNS:
        if sign in told:
            return False
    return _MAY_BE_PEOPLE.search(text) is None


def _without_secrets(text: str) -> str:
    if _MAY_HUSH.search(text):
        text = _NAMED.sub(rf"\g<1>{HIDDEN}", text)
    text = _SCHEME.sub(rf"\g<1> {HIDDEN}", text)
    return _USER.sub(rf"\g<1>{HIDDEN}@", _IN_PATH.sub(rf"\g<1>{HIDDEN}", text)) if "/" in text else text


def phones_in(text: str) -> list[str]:
    """Return the phones in a text: what `masked_text` would hide of it as a phone, and eleven digits that may be one."""
    if not _MAY_BE_PEOPLE.search(text):
        return []
    return list(dict.fromkeys(found[0] for found in _PHONE.finditer(text)))


def phones_of(value: Any) -> list[str]:
    """Return the phones in JSON data, as far as it is looked through."""
    return phones_in(as_json(value)[:LOOKED_THROUGH])


as_json = json.JSONEncoder(ensure_ascii=False, default=str).encode
"""Writes a value to be looked at or masked: what JSON does not know is its own text."""


@lru_cache(maxsize=256)  # most calls of a service go to a few addresses
def masked_url(url: str, secrets: tuple[str, ...] = ()) -> str:
    """Return an address as it may be stored."""
    return masked_text(url, secrets)


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with the values of all but the harmless ones hidden."""
    return {name: value if _shown(name.lower()) else HIDDEN for name, value in headers.items()}


def masked(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return JSON data with everything masked in it: what a secret's name leads to, and each text by itself."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if is_secret(key) and item else masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, secrets) for item in value]
    if isinstance(value, str):
        return masked_text(value, secrets)
    return _masked_number(value) if isinstance(value, int) else value


def storable(text: str) -> str:
    """Return a text without what PostgreSQL cannot keep: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)


def _without_people(text: str) -> str:
    """Eleven digits are a CPF where its check digits say so, else a phone where they look like one, else a CPF mistyped."""
    if not _MAY_BE_PEOPLE.search(text):
        return text
    text = _CPF.sub(lambda found: found.expand(_CPF_SHOWN) if _is_cpf(found[0]) else found[0], text)
    return _CPF.sub(_CPF_SHOWN, _PHONE.sub(r"\g<1>****\g<2>\g<3>", text))


def _is_cpf(text: str) -> bool:
    digits = [int(digit) for digit in text if digit.isdecimal()]
    sums = [sum(digit * (size - place) for place, digit in enumerate(digits[: size - 1])) for size in (10, 11)]
    return digits[9:] == [total * 10 % 11 % 10 for total in sums]


def _shown(name: str) -> bool:
    return name in SHOWN_HEADERS or "ratelimit" in name


def is_secret(name: object) -> bool:
    """Say whether what stands under a name is a secret."""
    return _is_secret(str(name))


@lru_cache(maxsize=1024)  # the same names come again and again
def _is_secret(name: str) -> bool:
    return _HUSHED.fullmatch(name) is not None


def _masked_number(number: int) -> Any:
    text = masked_text(str(number))
    return number if text == str(number) else text
