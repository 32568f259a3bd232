"""What makes failures alike: the error without the parts that differ from row to row."""

import hashlib
import re

_VARIES = [
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I), "<id>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[\w+-]\*{3}@[\w-]…"), "<mail>"),  # in full, or masked
    (re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"), "<date>"),
    (re.compile(r"\d{2}/\d{2}/\d{4}"), "<date>"),
    (re.compile(r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}"), "<document>"),
    (re.compile(r"\+?\d[\d ().-]{7,}\d"), "<phone>"),
    (re.compile(r"\"[^\"]*\"|'[^']*'|“[^”]*”"), "<value>"),
    (re.compile(r"\b[0-9a-f]{12,}\b", re.I), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
]


def normalised(message: str) -> str:
    """Return a message without ids, numbers, dates, phones and quoted values."""
    for pattern, word in _VARIES:
        message = pattern.sub(word, message)
    return message.strip()[:500]


def fingerprint(*parts: str, message: str) -> str:
    """Return what failures of one kind, service and error type with the same normalised message have in common."""
    told = "\x1f".join([*parts, normalised(message)])
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:40]
