"""What events become: once, in order, from the row; and what happens where they cannot."""

import datetime as dt
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from apps.actions import leases
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.deadletters.models import DeadLetter
from apps.integrations import processing
from apps.integrations.models import Endpoint, EventSource, IntegrationEvent
from apps.integrations.processing import process
from apps.operations.models import PendingOperation
from tests.cast import ROOT, Company, give_up
from tests.integrations.events import event_of, source
from tests.races import at_once

NOON = dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC)
Verbs = Any


@pytest.fixture
def endpoint(company: Company) -> Endpoint:
    row = Endpoint.objects.create(
        slug="leads", name="Leads", event_type="lead.*", service=company.piperun, operation_type="person.create"
    )
    row.mapped_by({"name": {"from": "data.name"}}, "ana")
    return row


def told(row: EventSource, name: str = "Ana", **columns: Any) -> IntegrationEvent:
    return event_of(row, **{"data": {"name": name}, "subject": "", **columns})


def made() -> list[str]:
    found = PendingOperation.objects.filter(event__isnull=False).order_by("pk")
    return [operation.payload["name"] for operation in found]


def refreshed(event: IntegrationEvent) -> IntegrationEvent:
    return IntegrationEvent.objects.get(pk=event.pk)


def press(verb: Verbs, *events: IntegrationEvent, **given: str) -> ActionRun:
    return run(verb, Selection.ticked(IntegrationEvent, [event.pk for event in events]), ROOT, given=given)


def break_routing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(event: Any) -> Any:
        raise error

    monkeypatch.setattr(processing, "routed", broken)


def test_an_event_becomes_the_operations_of_its_endpoints(endpoint: Endpoint) -> None:
    event = told(source(), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    process(5)
    operation = PendingOperation.objects.get(event=event)
    assert (operation.payload, operation.mapping_version) == ({"name": "Ana"}, endpoint.mapping)
    assert (operation.traceparent, operation.source) == (event.traceparent, "event site")
    assert (refreshed(event).status, refreshed(event).outcome) == ("processed", "operations")


def test_an_event_that_nobody_wants_is_processed_and_says_so(db: None) -> None:
    event = told(source())
    process(5)
    assert (refreshed(event).status, refreshed(event).outcome, made()) == ("processed", "nothing", [])


def test_a_mapping_that_does_not_fit_is_a_dead_letter_at_once(endpoint: Endpoint) -> None:
    event = told(source(), data={})
    process(5)
    event = refreshed(event)
    letter = DeadLetter.objects.get(source_id=event.pk)
    assert (event.status, event.failure_class, event.attempts) == ("failed", "permanent_data", 1)
    assert (letter.message, letter.title, letter.service) == (event.last_error, "lead.created", "site")
    assert "leads" in event.last_error


def test_what_nobody_can_carry_out_is_a_dead_letter_at_once(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = told(source())
    Endpoint.objects.update(operation_type="no.such")
    process(5)
    assert (refreshed(event).status, refreshed(event).failure_class) == ("failed", "permanent_data")


def test_what_passes_is_tried_again_later_and_longer_each_time(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = told(source())
    break_routing(monkeypatch, OperationalError("lock not available"))
    waits = []
    for _ in range(4):
        process(5)
        event = refreshed(event)
        waits.append(round((event.due_at - event.updated_at).total_seconds()))
        IntegrationEvent.objects.update(due_at=Now())
    assert (waits, event.status) == ([60, 120, 240, 480], "received")
    process(5)
    event = refreshed(event)
    assert (event.status, event.last_error) == ("failed", "Max retries exceeded: lock not available")
    assert DeadLetter.objects.filter(source_id=event.pk, status="unresolved").exists()


def test_a_fault_of_ours_is_tried_again_too(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    event = told(source())
    break_routing(monkeypatch, ZeroDivisionError("oh"))
    process(5)
    assert (refreshed(event).status, refreshed(event).error_type) == ("received", "ZeroDivisionError")


def test_one_bad_event_keeps_no_other_from_being_processed(endpoint: Endpoint) -> None:
    row = source()
    told(row, data={})
    told(row)
    process(5)
    assert made() == ["Ana"]


def test_an_older_event_of_a_subject_makes_nothing_after_a_newer_one(endpoint: Endpoint) -> None:
    row = source()
    told(row, "newer", subject="lead-1", occurred_at=NOON)
    process(5)
    older = told(row, "older", subject="lead-1", occurred_at=NOON - dt.timedelta(seconds=1))
    process(5)
    assert (made(), refreshed(older).status, refreshed(older).outcome) == (["newer"], "processed", "superseded")


@pytest.mark.parametrize(
    "columns",
    [
        {"subject": "lead-2"},
        {"subject": ""},
        {"occurred_at": NOON},
        {"occurred_at": NOON + dt.timedelta(seconds=1)},
    ],
)
def test_another_subject_or_no_older_moment_is_not_superseded(endpoint: Endpoint, columns: dict[str, Any]) -> None:
    row = source()
    told(row, "first", subject="lead-1", occurred_at=NOON)
    process(5)
    told(row, "second", **{"subject": "lead-1", "occurred_at": NOON - dt.timedelta(seconds=1), **columns})
    process(5)
    assert made() == ["first", "second"]


def test_a_newer_event_that_made_nothing_supersedes_nothing(endpoint: Endpoint) -> None:
    row = source()
    told(row, "seen", subject="lead-1", occurred_at=NOON, event_type="page.seen")
    told(row, "failed", subject="lead-1", occurred_at=NOON, data={})
    process(5)
    told(row, "older", subject="lead-1", occurred_at=NOON - dt.timedelta(hours=1))
    process(5)
    assert made() == ["older"]


def test_a_source_whose_events_stand_for_themselves_knows_no_order(endpoint: Endpoint) -> None:
    row = source(ordered=False)
    told(row, "newer", subject="lead-1", occurred_at=NOON)
    process(5)
    told(row, "older", subject="lead-1", occurred_at=NOON - dt.timedelta(hours=1))
    process(5)
    assert made() == ["newer", "older"]


def test_events_that_wait_together_are_processed_in_their_order(endpoint: Endpoint) -> None:
    row = source()
    for hour in (3, 1, 2):
        told(row, str(hour), subject="lead-1", occurred_at=NOON + dt.timedelta(hours=hour))
    process(5)
    assert made() == ["1", "2", "3"]


def test_events_of_a_paused_source_wait_and_go_on_when_it_is_resumed(endpoint: Endpoint) -> None:
    row = source()
    event = told(row)
    ticked = Selection.ticked(EventSource, [row.pk])
    run(EventSource.pause, ticked, ROOT, given={"reason": "a flood"})
    process(5)
    assert (refreshed(event).status, made()) == ("received", [])
    run(EventSource.resume, ticked, ROOT)
    process(5)
    assert made() == ["Ana"]


def test_a_replay_makes_no_second_operation_of_the_same_mapping(endpoint: Endpoint) -> None:
    event = told(source())
    process(5)
    press(IntegrationEvent.replay, event)
    process(5)
    assert (made(), refreshed(event).outcome) == (["Ana"], "operations")


def test_a_replay_by_a_new_mapping_makes_its_operation(endpoint: Endpoint) -> None:
    event = told(source())
    process(5)
    endpoint.mapped_by({"name": {"value": "Bea"}}, "ana")
    press(IntegrationEvent.replay, event)
    process(5)
    assert made() == ["Ana", "Bea"]


def test_a_person_may_have_its_operations_made_anew(endpoint: Endpoint) -> None:
    event = told(source())
    process(5)
    press(IntegrationEvent.replay_anew, event, reason="the far end lost it")
    process(5)
    press(IntegrationEvent.replay, event)
    process(5)
    assert (made(), refreshed(event).anew) == (["Ana", "Ana"], False)


def test_an_operation_that_surely_failed_does_not_stand_in_the_way(endpoint: Endpoint, company: Company) -> None:
    event = told(source())
    process(5)
    give_up(list(PendingOperation.objects.filter(event=event)))
    press(IntegrationEvent.replay, event)
    process(5)
    assert made() == ["Ana", "Ana"]


def test_an_operation_of_unknown_outcome_does(endpoint: Endpoint, company: Company) -> None:
    event = told(source())
    process(5)
    give_up(list(PendingOperation.objects.filter(event=event)), failure_class="ambiguous")
    press(IntegrationEvent.replay, event)
    process(5)
    assert made() == ["Ana"]


def test_a_replay_of_an_older_event_leaves_the_newer_one_standing(endpoint: Endpoint) -> None:
    row = source()
    older = told(row, "older", subject="lead-1", occurred_at=NOON - dt.timedelta(hours=1))
    process(5)
    told(row, "newer", subject="lead-1", occurred_at=NOON)
    process(5)
    press(IntegrationEvent.replay, older)
    process(5)
    assert (made(), refreshed(older).outcome) == (["older", "newer"], "operations")


def test_a_dead_letter_follows_its_event(endpoint: Endpoint) -> None:
    event = told(source(), data={})
    process(5)
    letter = DeadLetter.objects.get(source_id=event.pk)
    endpoint.mapped_by({"name": {"value": "Bea"}}, "ana")
    run(DeadLetter.retry, Selection.ticked(DeadLetter, [letter.pk]), ROOT)
    letter.refresh_from_db()
    assert letter.status == "retrying"
    process(5)
    letter.refresh_from_db()
    assert (letter.status, made()) == ("resolved", ["Bea"])


def test_what_cannot_be_read_cannot_be_replayed(db: None) -> None:
    event = event_of(source(), "failed")
    IntegrationEvent.objects.update(error_type="unreadable")
    with pytest.raises(Refused, match="only the sender"):
        press(IntegrationEvent.replay, event)


@pytest.mark.parametrize("state", ["received", "processing"])
def test_what_is_on_its_way_is_not_replayed(db: None, state: str) -> None:
    event = event_of(source(), state)
    with pytest.raises(Refused):
        press(IntegrationEvent.replay, event)


def test_a_worker_whose_lease_lapsed_makes_nothing(endpoint: Endpoint) -> None:
    event = told(source())
    [held] = leases.take(IntegrationEvent.claim, processing.due().order_by("pk"), 1)
    IntegrationEvent.objects.filter(pk=event.pk).update(token=0)
    held.source = event.source
    assert (processing._process(held), made()) == ("lost", [])


def test_an_event_of_a_silent_worker_is_taken_back(endpoint: Endpoint) -> None:
    event = event_of(source(), "processing", data={"name": "Ana"})
    IntegrationEvent.objects.update(lease_until=NOON)
    assert processing.rescue_lapsed() == 1
    process(5)
    assert (refreshed(event).crashes, made()) == (1, ["Ana"])


def test_an_event_that_silences_its_workers_is_given_up(endpoint: Endpoint) -> None:
    event = event_of(source(), "processing", crashes=3)
    IntegrationEvent.objects.update(lease_until=NOON)
    processing.rescue_lapsed()
    assert (refreshed(event).status, refreshed(event).failure_class) == ("failed", "poison")


def test_a_suspect_is_claimed_alone(db: None) -> None:
    row = source()
    for crashes in (1, 1, 0):
        told(row, crashes=crashes)
    assert [len(processing._claim()) for _ in range(4)] == [1, 1, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_of_one_subject_one_event_at_a_time_is_decided(endpoint: Endpoint) -> None:
    row = source()
    for place in range(40):
        told(row, str(place), subject=f"lead-{place % 4}", occurred_at=NOON + dt.timedelta(seconds=(place * 7) % 40))
    at_once(*[lambda: process(20)] * 4)
    assert set(IntegrationEvent.objects.values_list("status", flat=True)) == {"processed"}
    for place in range(4):
        made = PendingOperation.objects.filter(event__subject=f"lead-{place}").order_by("created_at", "pk")
        moments = list(made.values_list("event__occurred_at", flat=True))
        assert moments == sorted(moments)


def test_who_may_only_look_may_not_replay(as_bia: Actor, db: None) -> None:
    event = event_of(source(), "failed")
    with pytest.raises(Refused, match="may not"):
        run(IntegrationEvent.replay, Selection.ticked(IntegrationEvent, [event.pk]), as_bia)


def test_a_paused_endpoint_is_told_apart(endpoint: Endpoint) -> None:
    run(Endpoint.pause, Selection.ticked(Endpoint, [endpoint.pk]), ROOT, given={"reason": "the CRM moves"})
    event = told(source())
    process(5)
    assert (refreshed(event).status, refreshed(event).error_type) == ("failed", "endpoint_paused")
