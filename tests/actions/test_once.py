import pytest

from apps.actions import running
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.actions.verbs import Invalid
from apps.operations.models import PendingOperation
from tests.cast import ROOT, Company, matching, ticked
from tests.races import at_once, raised

retry, archive = PendingOperation.retry, PendingOperation.archive


@pytest.fixture
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one row goes to the background."""
    monkeypatch.setattr(running, "IN_REQUEST", 1)


def test_the_same_form_sent_twice_is_one_run(company: Company, as_ana: Actor) -> None:
    first, second = (run(retry, ticked(*company.operations["failed"]), as_ana, idempotency_key="form 1") for _ in "ab")
    assert first == second


def test_a_key_that_comes_with_something_else_is_refused(company: Company, as_ana: Actor) -> None:
    run(retry, ticked(company.operations["failed"][0]), as_ana, idempotency_key="form 1")
    with pytest.raises(Invalid, match="sent before with something else") as refused:
        run(retry, ticked(company.operations["failed"][1]), as_ana, idempotency_key="form 1")
    assert refused.value.code == "idempotency_key_reused"


def test_a_key_speaks_for_its_own_caller_alone(company: Company, as_ana: Actor) -> None:
    first = run(retry, ticked(company.operations["failed"][0]), as_ana, idempotency_key="form 1")
    second = run(retry, ticked(company.operations["failed"][1]), ROOT, idempotency_key="form 1")
    assert first != second


@pytest.mark.parametrize("key", ["x" * 201, "a\0b"])
def test_a_key_is_plain_text_of_bounded_length(company: Company, as_ana: Actor, key: str) -> None:
    with pytest.raises(Invalid, match="plain text of up to 200 characters"):
        run(retry, ticked(company.operations["failed"][0]), as_ana, idempotency_key=key)


def test_an_open_run_over_the_same_filter_is_led_to(company: Company, as_ana: Actor, small_requests: None) -> None:
    first = run(retry, matching(status="failed", service="piperun"), as_ana)
    assert run(retry, matching(service="piperun", status="FAILED"), ROOT) == first


def test_another_filter_is_another_run(company: Company, as_ana: Actor, small_requests: None) -> None:
    first = run(retry, matching(status="failed"), as_ana)
    assert run(retry, matching(status="failed", queue="crm"), as_ana) != first


def test_a_run_that_has_ended_leads_nobody(company: Company, as_ana: Actor) -> None:
    first = run(archive, matching(status="failed"), as_ana, given={"reason": "x"})
    assert run(archive, matching(status="failed"), as_ana, given={"reason": "x"}) != first


@pytest.mark.django_db(transaction=True)
def test_twenty_clicks_at_once_are_one_run(company: Company, as_ana: Actor) -> None:
    selection = ticked(*company.operations["failed"])
    came_to = at_once(*[lambda: run(retry, selection, as_ana, idempotency_key="form 1").pk] * 20)
    assert (raised(came_to), len(set(came_to))) == ([], 1)


@pytest.mark.django_db(transaction=True)
def test_twenty_retries_of_all_failed_at_once_are_one_background_run(
    company: Company, as_ana: Actor, small_requests: None
) -> None:
    came_to = at_once(*[lambda: run(retry, matching(status="failed"), as_ana).pk] * 20)
    assert (raised(came_to), ActionRun.objects.filter(verb="retry").count()) == ([], 1)


@pytest.mark.django_db(transaction=True)
def test_twenty_retries_in_the_request_move_each_row_once(empty_company: Company, as_ana: Actor) -> None:
    empty_company.failed(50)
    came_to = at_once(*[lambda: run(retry, matching(status="failed"), as_ana).moved] * 20)
    assert raised(came_to) == []
    assert sum(moved for moved in came_to if isinstance(moved, int)) == 50
