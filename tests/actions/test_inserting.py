"""Many rows in one statement are the rows that Django would have inserted."""

from typing import Any

import pytest
from django.db import DataError, transaction

from apps.actions.inserting import insert
from apps.actions.instances import new
from apps.operations.models import PendingOperation
from tests.cast import Company

PAYLOADS: list[Any] = [{"title": 'it\'s \\ "quoted" %s'}, {"n": [1, 2.5, None, True]}, {}, {"note": "ção 😀"}]


def operations(company: Company, payloads: list[Any], **columns: Any) -> list[PendingOperation]:
    known = PendingOperation.objects.first()
    assert known
    told = {"service": known.service, "queue": known.queue, "operation_type": "deal.create", **columns}
    return [PendingOperation(payload=payload, entity_id=f"é-{n}", **told) for n, payload in enumerate(payloads)]


def columns(row: PendingOperation) -> dict[str, Any]:
    left_out = ("id", "due_at", "created_at", "updated_at")
    return {field.attname: getattr(row, field.attname) for field in row._meta.fields if field.attname not in left_out}


@pytest.mark.parametrize("count", [1, 4])
def test_rows_are_those_of_bulk_create(company: Company, count: int) -> None:
    ours, theirs = (operations(company, PAYLOADS[:count]) for _ in range(2))
    insert(ours)
    PendingOperation.objects.bulk_create(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert columns(PendingOperation.objects.get(pk=one.pk)) == columns(PendingOperation.objects.get(pk=other.pk))


@pytest.mark.parametrize("too_long", [[1], [0, 1]], ids=["one", "all"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_row_that_cannot_be_stored_keeps_all_out(company: Company, count: int, too_long: list[int]) -> None:
    rows = operations(company, PAYLOADS[:count])
    for index in too_long:
        rows[index % count].entity_id = "x" * 201
    before = PendingOperation.objects.count()
    with pytest.raises(DataError), transaction.atomic():
        insert(rows)
    assert PendingOperation.objects.count() == before


def test_inserted_rows_can_be_read_again(company: Company) -> None:
    [row] = operations(company, [{"a": 1}])
    insert([row])
    row.refresh_from_db()
    assert (row.payload, row.status) == ({"a": 1}, "pending")


def test_a_new_row_is_what_the_constructor_makes() -> None:
    ours, theirs = new(PendingOperation), PendingOperation()
    assert columns(ours) == columns(theirs)
    assert ours._state.adding
    assert ours.error_fields is not new(PendingOperation).error_fields
    assert ours.pk != new(PendingOperation).pk
