"""Lists of rows on their way into a statement: as one JSON text, cast by PostgreSQL on arrival.

One value for each of a thousand rows would be a thousand parameters, which take longer to write than to run.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL as JSON writes it, and not a backslash before the letters u0000."""
_django = DjangoJSONEncoder()


def table(name: str, columns: Mapping[str, str]) -> str:
    """Return a list as a table of these columns and SQL types; its text is the parameter."""
    kinds = ", ".join(f"{connection.ops.quote_name(column)} {kind}" for column, kind in columns.items())
    return f"json_to_recordset(%s::json) AS {name}({kinds})"


def text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a list as JSON, as it is: the database refuses what no column takes."""
    return json.dumps(lines, default=_plain)


def mended_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a list as JSON that PostgreSQL takes in any case.

    What a far end said may hold what no column takes (NUL, half a surrogate pair): one such answer must not keep a
    whole batch from being written, so those characters are replaced.
    """
    told = json.dumps(lines, default=_plain, ensure_ascii=False)
    if "\\u0000" in told:
        told = _NUL.sub("\\1\ufffd", told)
    if "NaN" in told or "Infinity" in told:  # Python reads and writes them, jsonb does not take them
        told = json.dumps(json.loads(told, parse_constant=str), ensure_ascii=False)
    return told if told.isascii() else told.encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """Return what JSON does not know as it does, exactly: Django's encoder alone would cut times to milliseconds."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return f"{value.total_seconds()} seconds"
    return value.pk if isinstance(value, models.Model) else _django.default(value)
