"""Rows as files for a spreadsheet: CSV streamed page by page, XLSX written to disk. No cell is ever taken for a formula."""

import csv
import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from xlsxwriter import Workbook

from apps.actions.actors import Actor
from apps.actions.permissions import require_view
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Invalid

AT_MOST = 100_000
PAGE = 1000
MASKED = "apps.integrations.masking.masked"
"""What takes secrets and personal data out of payloads and texts. It stands above this app, hence the path."""
FORMULA = re.compile("[\\t\\r\\n]|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that spreadsheets would run; the last four are the same signs in full width."""
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
LONGEST_CELL = 32_000
GREATEST_NUMBER = 2**53
"""Beyond it a spreadsheet rounds: such a number is written as text."""

Cell = str | int | float | bool


def checked_rows(selection: Selection, actor: Actor) -> Any:
    """Return the rows that an actor takes away; `NotPermitted` without the right to see them, `Invalid` where there are too many."""
    require_view(actor, selection.model)
    rows = selection.rows(actor)
    if rows.order_by("-pk")[: AT_MOST + 1].count() > AT_MOST:
        words = _(
            "More than %(most)s rows match, and a file takes at most so many. Narrow the filter, by since and before."
        )
        raise Invalid(words % {"most": f"{AT_MOST:,}"}, code="too_many")
    return rows


def columns_of(model: type[Acted]) -> list[models.Field[Any, Any]]:
    """Return the key and the columns that have a name for people: what has none is the machinery's, or a digest."""
    return [
        column
        for column in model._meta.concrete_fields
        if not isinstance(column, models.BinaryField)
        and (column.primary_key or isinstance(column.verbose_name, Promise))
    ]


def csv_lines(rows: Any) -> Iterator[str]:
    """Yield a CSV file in pieces, for spreadsheets and programs alike: UTF-8 with its mark, commas, quotes where needed."""
    lines: list[str] = []
    writer = csv.writer(_Pieces(lines))
    yield "\ufeff"
    for record in _records(rows):
        writer.writerow(record)
        if len(lines) >= PAGE:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


def xlsx_file(rows: Any) -> bytes:
    """Return an XLSX file; rows go to disk as they come, so that memory stays small while it is written."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.xlsx"
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "tmpdir": folder}
        with Workbook(str(path), options) as book:
            sheet = book.add_worksheet()
            sheet.freeze_panes(1, 0)
            for number, record in enumerate(_records(rows)):
                for place, value in enumerate(record):
                    _write(sheet, number, place, value)
        return path.read_bytes()


def defused(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before what would begin one."""
    return f"'{text}" if FORMULA.match(text) else text


def _records(rows: Any) -> Iterator[list[Cell]]:
    columns = columns_of(rows.model)
    mask = import_string(MASKED)
    yield [column.name for column in columns]
    for row in _walked(rows, columns):
        yield [_cell(column, row, mask) for column in columns]


def _walked(rows: Any, columns: list[models.Field[Any, Any]]) -> Iterator[Any]:
    """Walk the rows by key, newest first, a page at a time: no statement runs long and none is held open."""
    related = [column.name for column in columns if column.is_relation]
    ordered = rows.select_related(*related).only(*_read(columns)).order_by("-pk")
    page = list(ordered[:PAGE])
    while page:
        yield from page
        page = list(ordered.filter(pk__lt=page[-1].pk)[:PAGE]) if len(page) == PAGE else []


def _read(columns: list[models.Field[Any, Any]]) -> Iterator[str]:
    """Name the columns that are read, of related rows all that their name may need."""
    for column in columns:
        yield column.name
        if column.is_relation:
            yield from (f"{column.name}__{other.name}" for other in column.related_model._meta.concrete_fields)  # type: ignore[union-attr] # a foreign key's


def _cell(column: models.Field[Any, Any], row: Any, mask: Any) -> Cell:
    value = getattr(row, column.name)
    if value is None:
        return ""
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= GREATEST_NUMBER):
        return value
    if isinstance(value, dt.datetime):
        return timezone.localtime(value).isoformat(timespec="seconds")
    if isinstance(column, models.JSONField):
        value = json.dumps(mask(value), ensure_ascii=False)
    elif isinstance(column, models.TextField):
        value = mask(value)
    return defused(_fitting(str(value)))


def _fitting(text: str) -> str:
    """Return a text without what XLSX cannot hold, cut where a cell ends."""
    text = NO_XML.sub("\ufffd", text)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"


def _write(sheet: Any, number: int, place: int, value: Cell) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(number, place, value)
    elif isinstance(value, str):
        sheet.write_string(number, place, value)
    else:
        sheet.write_number(number, place, value)


class _Pieces:
    """Where the CSV writer writes to: a list of lines."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def write(self, text: str) -> int:
        """Keep a line."""
        self.lines.append(text)
        return len(text)
