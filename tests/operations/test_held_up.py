"""What a drain does when it, another worker, the database or a service's own settings hold it up."""

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.shape import Doubles
from apps.integrations.door import Settled
from apps.integrations.models import CircuitBreaker, Service
from apps.integrations.outcome import Outcome
from apps.jobs.models import Queue
from apps.operations import claiming, delivery, rescuing, settling
from apps.operations.models import PendingOperation
from apps.operations.settling import Destination, Held
from tests.cast import take
from tests.operations.conftest import hand_in
from tests.races import at_once, raised

pytestmark = pytest.mark.django_db(transaction=True)


def lapse() -> None:
    PendingOperation.objects.filter(status="processing").update(lease_until="2000-01-01T00:00:00Z")


def held(operation: PendingOperation) -> Held:
    operation.refresh_from_db()
    return Held(operation, Destination.of(operation.service), Doubles.NATIVE_KEY)


def test_a_row_that_is_locked_keeps_no_other_from_its_rescue(erp: Service, queue: Queue) -> None:
    stuck, free = hand_in(erp, queue, 2)
    take([stuck, free])
    lapse()

    def rescue() -> int:
        with transaction.atomic():
            return rescuing.rescue_lapsed()

    with transaction.atomic():
        PendingOperation.objects.select_for_update().get(pk=stuck.pk)
        assert at_once(rescue) == [1]
    assert PendingOperation.objects.get(pk=free.pk).status == "pending"


def test_a_stale_result_is_kept_in_the_history_alone(erp: Service, queue: Queue) -> None:
    [operation] = hand_in(erp, queue)
    take([operation])
    sleeper = held(operation)
    lapse()
    rescuing.rescue_lapsed()
    written = settling.write([(sleeper, Settled(operation.pk, Outcome(remote_id="4711"), []))])
    operation.refresh_from_db()
    assert (operation.status, operation.remote_id) == ("pending", "")
    assert (dict(settling.tell(written)), written.kept) == ({}, [])


def test_what_a_sleeper_timed_by_its_sleep_trips_no_breaker(erp: Service, queue: Queue) -> None:
    operations = hand_in(erp, queue, 10)
    take(operations)
    timed_out = Outcome(FailureClass.TRANSIENT, "no answer in 3 s")
    ended = [(held(operation), Settled(operation.pk, timed_out, [])) for operation in operations]
    lapse()
    rescuing.rescue_lapsed()
    settling.tell_services(settling.write(ended).kept)
    assert CircuitBreaker.objects.get(service=erp).status == "closed"


def test_settings_that_cannot_be_used_open_the_breaker_and_blame_no_operation(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 3)
    Service.objects.update(connector="carrier-pigeon")
    delivery.drain(queue, seconds=0.5)
    breaker = CircuitBreaker.objects.get(service=erp)
    assert (breaker.status, "carrier-pigeon" in breaker.reason) == ("open", True)
    assert set(PendingOperation.objects.values_list("status", "attempts", "crashes")) == {("pending", 0, 0)}


def test_a_drain_that_is_told_to_stop_claims_no_more(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 3)
    assert delivery.drain(queue, stopping=lambda: True) == {}
    assert PendingOperation.objects.filter(status="pending").count() == 3


def test_a_claim_goes_on_where_the_last_one_ended(erp: Service, queue: Queue) -> None:
    first, second = hand_in(erp, queue, 2)
    PendingOperation.objects.filter(pk=first.pk).update(due_at="2000-01-01T00:00:00Z")
    second.refresh_from_db()
    taken = claiming.claim(queue, erp, 200, crashes=0, since=second.due_at) or []
    assert [row.pk for row in taken] == [second.pk]


def test_what_is_committed_with_an_earlier_time_is_not_left_behind(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 3)
    late: list[PendingOperation] = []

    def nobody_stops_it() -> bool:
        if not late and PendingOperation.objects.filter(status="completed").exists():
            late.extend(hand_in(erp, queue))
            PendingOperation.objects.filter(pk=late[0].pk).update(due_at="2000-01-01T00:00:00Z")
        return False

    assert delivery.drain(queue, stopping=nobody_stops_it) == {"complete": 4}


def test_a_lease_that_ran_out_while_the_database_was_away_is_spared(erp: Service, queue: Queue) -> None:
    [operation] = hand_in(erp, queue)
    take([operation])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time() > statement_timestamp() - interval '30 s'")
        [(young,)] = cursor.fetchall()
    PendingOperation.objects.update(lease_until=Now())
    assert rescuing.rescue_lapsed() == (0 if young else 1)


def test_two_crashes_part_an_operation_from_all_others(erp: Service, queue: Queue) -> None:
    suspects, others = hand_in(erp, queue, 2), hand_in(erp, queue, 3)
    PendingOperation.objects.filter(pk__in=[suspect.pk for suspect in suspects]).update(crashes=2)
    alone = claiming.claim(queue, erp, 1, crashes=2) or []
    together = claiming.claim(queue, erp, 200, crashes=0) or []
    assert (len(alone), {row.pk for row in together}) == (1, {other.pk for other in others})


def test_several_who_claim_at_once_share_the_rows(erp: Service, queue: Queue) -> None:
    hand_in(erp, queue, 60)
    claims = at_once(*[lambda: [row.pk for row in claiming.claim(queue, erp, 20, crashes=0) or []]] * 6)
    assert not raised(claims)
    taken = [key for claim in claims if isinstance(claim, list) for key in claim]
    assert len(taken) == len(set(taken)) <= 50
