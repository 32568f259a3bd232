import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.actions.verbs import UnknownFilter
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, give_up, matching, ticked


def test_a_run_in_the_request_keeps_its_score_on_its_page(
    empty_company: Company, as_ana: Actor, ana: User, client: Client
) -> None:
    rows = empty_company.failed(2)
    record = run(PendingOperation.retry, ticked(*rows), as_ana)
    complete(rows)
    pacing.watch()
    client.force_login(ana)
    page = client.get(record.get_absolute_url()).content.decode()
    assert ">2</a></dd></div>" in page[page.index("confirmed") :]


def test_the_rows_of_a_run_are_asked_for_until_it_is_over(
    empty_company: Company, as_ana: Actor, ana: User, client: Client
) -> None:
    rows = empty_company.failed(2)
    record = run(PendingOperation.retry, ticked(*rows), as_ana)
    client.force_login(ana)
    part = 'id="run-rows" hx-get='
    assert part in client.get(record.get_absolute_url()).content.decode()
    complete(rows)
    pacing.watch()
    assert part not in client.get(record.get_absolute_url()).content.decode()


def test_rows_that_left_the_selection_meanwhile_are_told_apart() -> None:
    assert ActionRun(total=3, moved=1, refused=1, status=ActionRun.Status.WATCHING).slipped == 1


def test_a_run_under_way_has_lost_nothing_yet() -> None:
    assert ActionRun(total=3, moved=1, status=ActionRun.Status.RUNNING).slipped == 0


def scored(company: Company, as_ana: Actor) -> ActionRun:
    """Retry five: two are confirmed, one fails again, two are still open."""
    rows = company.failed(5)
    record = run(PendingOperation.retry, ticked(*rows), as_ana)
    complete(rows[:2])
    give_up(rows[2:3])
    pacing.watch()
    record.refresh_from_db()
    return record


@pytest.mark.parametrize(("outcome", "count"), [("confirmed", 2), ("failed_again", 1), ("still_open", 2)])
def test_each_figure_of_the_score_leads_to_exactly_its_rows(
    empty_company: Company, as_ana: Actor, ana: User, client: Client, outcome: str, count: int
) -> None:
    record = scored(empty_company, as_ana)
    client.force_login(ana)
    link = client.get(record.get_absolute_url()).context["lists"][outcome]
    assert f'<a href="{link}">{count}</a>' in client.get(record.get_absolute_url()).content.decode()
    assert len(client.get(link).context["cl"].result_list) == count


def test_what_failed_again_can_be_selected_for_the_next_verb(empty_company: Company, as_ana: Actor) -> None:
    record = scored(empty_company, as_ana)
    again = run(PendingOperation.archive, matching(run=f"{record.pk}:failed_again"), as_ana, given={"reason": "no use"})
    assert (again.total, again.moved) == (1, 1)


def test_rows_of_a_run_are_found_wherever_they_stand_now(empty_company: Company, as_ana: Actor) -> None:
    record = scored(empty_company, as_ana)
    run(PendingOperation.archive, matching(run=f"{record.pk}:failed_again"), as_ana, given={"reason": "no use"})
    assert matching(run=str(record.pk)).rows().count() == 5


@pytest.mark.parametrize("value", ["x", "7", "0192f0c1-2b3c-7def-8a90-0123456789ab:lost", ":confirmed"])
def test_a_run_that_cannot_be_read_is_refused(db: None, value: str) -> None:
    with pytest.raises(UnknownFilter, match="run"):
        matching(run=value)


def test_an_unknown_run_has_no_rows(empty_company: Company) -> None:
    empty_company.failed(1)
    assert not matching(run="0192f0c1-2b3c-7def-8a90-0123456789ab").rows().exists()
