"""Rejected records: a dead letter each, asked for again one by one, settled by whatever takes them in."""

from collections.abc import Callable

import pytest

from apps.actions import leases
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter
from apps.syncs import tasks
from apps.syncs.models import Customer, RejectedRecord, Sync
from apps.syncs.rereading import read_again, rescue_lapsed
from tests.cast import ROOT
from tests.simulator_process import Simulator
from tests.syncs.conftest import run_of

Held = Callable[..., None]


@pytest.fixture
def rejected(acme: Sync, small: Held) -> RejectedRecord:
    small(customers=20, products=0, orders=0, poisoned={"customers": [13]})
    run_of(acme)
    return RejectedRecord.objects.get()


def letter() -> DeadLetter:
    return DeadLetter.objects.get(source_kind="syncs.rejectedrecord")


def retry(row: RejectedRecord) -> None:
    run(RejectedRecord.retry, Selection.ticked(RejectedRecord, [row.pk]), ROOT)


def test_it_waits_as_a_dead_letter_that_names_tenant_and_record(rejected: RejectedRecord) -> None:
    found = letter()
    assert (found.status, found.tenant, found.service) == ("unresolved", "acme", "erp-acme")
    assert (found.entity_type, found.entity_id, found.failure_class) == ("customer", "13", "permanent_data")
    assert found.source_system == "erp-sync"


def test_the_same_rejection_again_is_no_news(rejected: RejectedRecord, acme: Sync) -> None:
    acme.cursors.update(watermark={})
    assert run_of(acme).counts["rejected"] == 1
    assert (letter().repeats, RejectedRecord.objects.count()) == (0, 1)


def test_an_archived_one_stays_archived_until_it_changes(rejected: RejectedRecord, acme: Sync, small: Held) -> None:
    run(RejectedRecord.archive, Selection.ticked(RejectedRecord, [rejected.pk]), ROOT, given={"reason": "a test"})
    acme.cursors.update(watermark={})
    run_of(acme)
    assert letter().status == "archived"
    small(customers=20, products=0, orders=0, touch={"customers": [13]})
    run_of(acme)
    assert (letter().status, letter().repeats) == ("unresolved", 1)


def test_a_retry_asks_for_that_one_record_and_takes_it_in(rejected: RejectedRecord, small: Held) -> None:
    small(customers=20, products=0, orders=0, poisoned={})
    retry(rejected)
    assert letter().status == "retrying"
    assert dict(read_again(5)) == {"applied": 1}
    assert (letter().status, Customer.objects.filter(code="13").count()) == ("resolved", 1)


def test_one_that_is_still_broken_fails_again(rejected: RejectedRecord) -> None:
    retry(rejected)
    assert dict(read_again(5)) == {"failed": 1}
    assert (letter().status, letter().repeats) == ("unresolved", 1)


def test_one_that_is_gone_says_so(rejected: RejectedRecord, small: Held) -> None:
    small(customers=5, products=0, orders=0)
    retry(rejected)
    read_again(5)
    assert "no longer there" in letter().message


def test_a_source_that_does_not_answer_is_asked_later(rejected: RejectedRecord, simulator: Simulator) -> None:
    simulator.outage("millennium")
    retry(rejected)
    assert dict(read_again(5)) == {"given back": 1}
    rejected.refresh_from_db()
    assert (rejected.status, rejected.attempts, letter().status) == ("pending", 1, "retrying")


def test_a_pass_that_takes_it_in_settles_it(rejected: RejectedRecord, acme: Sync, small: Held) -> None:
    small(customers=20, products=0, orders=0, poisoned={}, touch={"customers": [13]})
    run_of(acme)
    rejected.refresh_from_db()
    assert (rejected.status, letter().status) == ("applied", "resolved")


def test_the_dead_letters_own_retry_runs_it(rejected: RejectedRecord, small: Held) -> None:
    small(customers=20, products=0, orders=0, poisoned={})
    run(DeadLetter.retry, Selection.ticked(DeadLetter, [letter().pk]), ROOT)
    tasks.read_again()
    assert letter().status == "resolved"


def test_a_worker_that_fell_silent_loses_it_to_the_next(rejected: RejectedRecord) -> None:
    retry(rejected)
    leases.take(RejectedRecord.claim, RejectedRecord.objects.order_by("pk"), 1)
    RejectedRecord.objects.update(lease_until="2026-01-01T00:00:00Z")
    assert rescue_lapsed() == 1
    assert dict(read_again(5)) == {"failed": 1}
