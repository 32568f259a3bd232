"""Sync from a date again: what is foreseen, where the cursors begin, and that a page read before then is not written."""

from typing import Any

import pytest

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.jobs.models import JobRun
from apps.syncs import calling, pulling
from apps.syncs.models import Customer, Sync, SyncCursor
from apps.syncs.resyncing import day_of, foreseen
from tests.cast import ROOT
from tests.syncs.conftest import cursor_of, run_of

TODAY = "2026-01-01"


def resync(sync: Sync, since: str) -> None:
    given = {"since": since, "reason": "the mapping was wrong"}
    run(Sync.resync, Selection.ticked(Sync, [sync.pk]), ROOT, given=given)


def test_it_foresees_how_much_is_known_since_and_where_it_would_begin(acme: Sync) -> None:
    run_of(acme)
    moment = day_of(TODAY)
    assert moment
    told = {each.entity: (each.known, each.position) for each in foreseen(acme, moment)}
    assert told["customer"] == (120, {"after": 0})
    assert told["order"][0] == 30
    assert (told["order"][1] or {})["day"] == TODAY


def test_where_nothing_changed_since_there_is_nothing_to_read_again(acme: Sync) -> None:
    run_of(acme)
    Customer.objects.update(changed_at="2025-01-01T00:00:00Z")
    moment = day_of(TODAY)
    assert moment
    assert foreseen(acme, moment)[0].position is None


def test_it_reads_again_at_once_and_what_is_the_same_stays_untouched(acme: Sync) -> None:
    run_of(acme)
    resync(acme, TODAY)
    assert cursor_of(acme).position == {"after": 0}
    asked = JobRun.objects.get(status="queued")
    assert (asked.tenant, asked.asked_by) == (acme.tenant, "root")
    asked.delete()
    assert run_of(acme).counts["unchanged"] >= 120
    assert cursor_of(acme).watermark == {"after": 120}


@pytest.mark.parametrize("since", ["", "yesterday", "2999-01-01", "0001-01-01", "2026-13-01"])
def test_a_day_that_is_none_is_refused(acme: Sync, since: str) -> None:
    with pytest.raises(Refused, match="day"):
        resync(acme, since)
    assert not SyncCursor.objects.exists()


def test_a_page_that_was_read_before_is_not_written_after(acme: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(acme)
    real, done = calling.called, list[bool]()

    def called(service: Any, asked: Any) -> Any:
        outcome = real(service, asked)
        if not done:
            done.append(True)
            resync(acme, TODAY)
            JobRun.objects.filter(status="queued").delete()
        return outcome

    monkeypatch.setattr(pulling, "called", called)
    run_of(acme)
    assert cursor_of(acme).counts == {"read": 120, "unchanged": 120}
    assert cursor_of(acme).epoch == 1
