"""What is read by a compiled statement is what the queryset reads."""

from typing import Any

from django.db.models import F

from apps.actions.preparing import GIVEN, Reading
from apps.integrations.models import Service
from tests.cast import Company


def test_rows_are_those_of_the_queryset(company: Company) -> None:
    services = Service.objects.order_by("slug")
    for ours, theirs in zip(Reading(services).rows(), services, strict=True):
        assert {**vars(ours), "_state": None} == {**vars(theirs), "_state": None}


def test_annotations_stand_on_the_rows(company: Company) -> None:
    found: list[Any] = Reading(Service.objects.annotate(other=F("connector"))).rows()
    assert [row.other for row in found] == [row.connector for row in found]


def test_a_value_is_given_with_each_reading(company: Company) -> None:
    named = Reading(Service.objects.order_by().filter(status="active", slug=GIVEN))
    for slug in Service.objects.values_list("slug", flat=True):
        assert [row.slug for row in named.rows(slug)] == [slug]
    assert named.rows("nobody' OR true --") == []


def test_what_was_read_before_is_read_anew(company: Company) -> None:
    reading = Reading(Service.objects.order_by("slug"))
    before = reading.rows()[0].max_retries
    Service.objects.update(max_retries=before + 1)
    assert [reading.rows()[0].max_retries for _again in range(7)] == [before + 1] * 7
