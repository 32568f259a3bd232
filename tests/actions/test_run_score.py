from django.contrib.auth.models import User
from django.test import Client

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import run
from apps.operations.models import PendingOperation
from tests.cast import Company, complete, ticked


def test_a_run_in_the_request_keeps_its_score_on_its_page(
    empty_company: Company, as_ana: Actor, ana: User, client: Client
) -> None:
    rows = empty_company.failed(2)
    record = run(PendingOperation.retry, ticked(*rows), as_ana)
    complete(rows)
    pacing.watch()
    client.force_login(ana)
    page = client.get(record.get_absolute_url()).content.decode()
    assert "<dd>2</dd></div>" in page[page.index("confirmed") :]


def test_rows_that_left_the_selection_meanwhile_are_told_apart() -> None:
    assert ActionRun(total=3, moved=1, refused=1, status=ActionRun.Status.WATCHING).slipped == 1


def test_a_run_under_way_has_lost_nothing_yet() -> None:
    assert ActionRun(total=3, moved=1, status=ActionRun.Status.RUNNING).slipped == 0
