import datetime as dt

import pytest

from apps.actions.actors import Actor
from apps.actions.running import database_now, run
from apps.actions.selections import Selection
from apps.actions.verbs import Invalid
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.cast import Company, ticked


def pause(company: Company, actor: Actor, **given: object) -> Queue:
    run(Queue.pause, Selection.ticked(Queue, [company.crm.pk]), actor, given=given)
    company.crm.refresh_from_db()
    return company.crm


@pytest.mark.parametrize("reason", ["", "   ", None])
def test_a_reason_that_is_asked_for_must_be_given(company: Company, as_ana: Actor, reason: str | None) -> None:
    with pytest.raises(Invalid, match="Pause needs a reason") as refused:
        pause(company, as_ana, reason=reason)
    assert refused.value.code == "reason_required"


def test_until_may_be_left_open(company: Company, as_ana: Actor) -> None:
    assert pause(company, as_ana, reason="invoices wrong").paused_until is None


def test_until_is_kept_to_the_moment(company: Company, as_ana: Actor) -> None:
    until = database_now() + dt.timedelta(hours=2)
    assert pause(company, as_ana, reason="x", until=until.isoformat()).paused_until == until


@pytest.mark.parametrize("until", ["tomorrow", "2100-01-01T10:00:00", "2020-01-01T10:00:00Z", "2100-02-30T10:00:00Z"])
def test_until_is_a_moment_in_the_future_with_its_zone(company: Company, as_ana: Actor, until: str) -> None:
    with pytest.raises(Invalid, match="a moment in the future, with its zone"):
        pause(company, as_ana, reason="x", until=until)


def test_what_a_verb_does_not_ask_for_is_refused(company: Company, as_ana: Actor) -> None:
    with pytest.raises(Invalid, match="Retry does not ask for reason"):
        run(PendingOperation.retry, ticked(company.operations["failed"][0]), as_ana, given={"reason": "x"})


def test_a_note_may_always_be_left(company: Company, as_ana: Actor) -> None:
    record = run(
        PendingOperation.retry, ticked(company.operations["failed"][0]), as_ana, given={"note": "they mended it"}
    )
    assert record.given == {"note": "they mended it"}


@pytest.mark.parametrize("note", ["a\0b", "\ud800", "x" * 2001])
def test_a_note_is_plain_text_of_bounded_length(company: Company, as_ana: Actor, note: str) -> None:
    with pytest.raises(Invalid, match="up to 2,000 characters of plain text"):
        run(PendingOperation.retry, ticked(company.operations["failed"][0]), as_ana, given={"note": note})


def test_the_person_and_moment_of_a_pause_stand_on_the_row(company: Company, as_ana: Actor) -> None:
    queue = pause(company, as_ana, reason="invoices wrong")
    assert (queue.status, queue.paused_reason, queue.paused_at is not None) == ("paused", "invoices wrong", True)
