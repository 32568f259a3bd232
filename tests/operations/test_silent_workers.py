import datetime as dt

from django.db.models.functions import Now

from apps.actions.leases import POISON_AFTER
from apps.operations import rescuing
from apps.operations.models import PendingOperation
from tests.cast import Company, take


def fallen_silent(company: Company, **columns: int) -> PendingOperation:
    """An operation whose worker let its lease lapse."""
    operation = company.operation()
    take([operation])
    PendingOperation.objects.filter(pk=operation.pk).update(lease_until=Now() - dt.timedelta(minutes=1), **columns)
    return operation


def test_a_silent_workers_operation_is_due_again(company: Company) -> None:
    operation = fallen_silent(company)
    rescuing.rescue_lapsed()
    operation.refresh_from_db()
    assert (operation.status, operation.crashes, operation.token) == ("pending", 1, None)


def test_the_fourth_silence_makes_it_poison(company: Company) -> None:
    operation = fallen_silent(company, crashes=POISON_AFTER - 1)
    rescuing.rescue_lapsed()
    operation.refresh_from_db()
    assert (operation.status, operation.failure_class) == ("failed", "poison")
