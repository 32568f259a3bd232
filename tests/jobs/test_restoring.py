import datetime as dt

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from apps.actions import installations
from apps.actions.models import ActionRun, Installation
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.deadletters.models import DeadLetter
from apps.integrations.models import EventSource
from apps.jobs import tasks
from apps.jobs.models import Heartbeat, Job, Queue
from apps.jobs.restoring import hold_if_restored
from apps.operations.models import PendingOperation
from opsconsole import restored
from tests.cast import ROOT, Company, matching, refreshed, take, ticked
from tests.contracts.world import one

pytestmark = pytest.mark.django_db


def come_from_elsewhere(place: str = "1.2.3.00000001") -> None:
    """What a restore does: the database remembers a place that is not its own."""
    Installation.objects.all().delete()
    Installation.objects.create(place=place, settled_at=Now())


def token() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('actions_token')")
        return int(cursor.fetchone()[0])


def test_a_database_that_was_migrated_is_at_home() -> None:
    assert installations.at_home()
    assert not hold_if_restored()


def test_nothing_is_claimed_in_a_restored_database(company: Company) -> None:
    come_from_elsewhere()
    assert take(company.operations["pending"]) == (0, [])


def test_every_queue_job_and_event_source_is_paused_with_the_moment_of_the_backup(company: Company) -> None:
    EventSource.objects.create(slug="site", name="site")
    Heartbeat.objects.update_or_create(name="tick", defaults={"interval_seconds": 5, "beat_at": "2026-01-31T11:15Z"})
    come_from_elsewhere()
    assert hold_if_restored()
    for model in (Queue, Job, EventSource):
        told = set(model.objects.values_list("status", "paused_reason"))
        assert told == {("paused", "restored from a backup of 2026-01-31 08:15")}


def test_what_a_person_had_paused_keeps_their_reason(company: Company) -> None:
    run(Queue.pause, one(Queue, company.books), ROOT, given={"reason": "year-end closing"})
    come_from_elsewhere()
    hold_if_restored()
    company.books.refresh_from_db()
    assert company.books.paused_reason == "year-end closing"


def test_runs_that_were_being_released_are_paused(company: Company) -> None:
    told = {"verb": "retry", "kind": "operations.pendingoperation", "selection": {"ids": []}}
    record = ActionRun.objects.create(**told, status="queued", actor_name="root", door="command")
    come_from_elsewhere()
    hold_if_restored()
    record.refresh_from_db()
    assert (record.status, record.stop_reason[:8]) == ("paused", "restored")


def test_what_waited_or_was_under_way_is_listed(company: Company) -> None:
    come_from_elsewhere()
    hold_if_restored()
    listed = matching(restored="yes").rows(ROOT)
    waited = [*company.operations["pending"], *company.operations["processing"], *company.operations["elsewhere"]]
    assert {row.pk for row in listed} == {row.pk for row in waited}


def test_at_a_service_that_can_be_asked_the_next_attempt_looks_first(company: Company) -> None:
    come_from_elsewhere()
    hold_if_restored()
    [row, *_others] = refreshed(company.operations["processing"])
    assert (row.status, row.token, row.called_at) == ("pending", None, row.created_at)


def test_at_a_service_that_cannot_be_asked_a_person_decides(company: Company) -> None:
    come_from_elsewhere()
    hold_if_restored()
    [row] = refreshed(company.operations["elsewhere"])
    assert (row.status, row.failure_class) == ("failed", "ambiguous")
    assert DeadLetter.objects.get(source_id=row.pk).message.startswith("It was waiting when the backup was made")


def test_a_token_drawn_after_the_backup_opens_nothing() -> None:
    before = token()
    come_from_elsewhere()
    hold_if_restored()
    assert token() > before + 1_000_000


def test_it_is_noticed_once(company: Company) -> None:
    come_from_elsewhere()
    assert [hold_if_restored(), hold_if_restored()] == [True, False]


def test_a_kill_in_between_is_made_up_for(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    come_from_elsewhere()
    with monkeypatch.context() as cut:
        cut.setattr(installations, "settle", lambda *_told: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hold_if_restored()
    assert take(company.operations["pending"]) == (0, [])
    assert hold_if_restored()
    assert installations.at_home()


def test_the_tick_does_nothing_else_when_it_notices(company: Company) -> None:
    Heartbeat.objects.all().delete()
    come_from_elsewhere()
    tasks.tick()
    assert Queue.objects.filter(status="active").count() == 0
    assert not Heartbeat.objects.filter(name="tick").exists()


def test_a_standby_that_took_over_goes_on(company: Company) -> None:
    Heartbeat.objects.update_or_create(name="tick", defaults={"interval_seconds": 5, "beat_at": Now()})
    Installation.objects.update(place=Installation.objects.get().place.rpartition(".")[0] + ".000000FF")
    assert not hold_if_restored()
    assert installations.at_home()
    assert Queue.objects.filter(status="paused").count() == 0


def test_an_old_backup_on_a_new_timeline_is_a_restore(company: Company) -> None:
    hour_ago = Now() - dt.timedelta(hours=1)
    Heartbeat.objects.all().delete()
    Heartbeat.objects.create(name="tick", interval_seconds=5, beat_at=hour_ago)
    Installation.objects.update(place=Installation.objects.get().place.rpartition(".")[0] + ".000000FF")
    assert hold_if_restored()


def test_a_person_may_say_that_a_disk_was_put_back(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("after_restore")
    assert "5 operations may already have been sent since the backup was made." in capsys.readouterr().out
    assert Queue.objects.filter(status="active").count() == 0


def test_home_says_so_until_the_last_is_resumed(company: Company, client: Client, ana: object) -> None:
    come_from_elsewhere()
    hold_if_restored()
    client.force_login(ana)  # type: ignore[arg-type] # a user
    [banner] = [each for each in client.get("/admin/").context["home"]["banners"] if "restored" in each["words"]]
    assert "5 operations may already have been sent" in banner["words"]
    assert client.get(banner["url"]).status_code == 200
    for model in (Job, Queue):  # as long as one is left, it is known why
        run(model.resume, Selection.matching(model, {"because": restored.reason()}), ROOT)
    told = [each["words"] for each in client.get("/admin/").context["home"]["banners"]]
    assert not [words for words in told if "restored" in words]


def test_a_pending_operation_is_settled_only_where_it_was_found(company: Company) -> None:
    found, unknown = company.operations["pending"]
    PendingOperation.objects.filter(pk=found.pk).update(confirm_found=True)
    run(PendingOperation.resolve, ticked(found), ROOT, given={"note": "sent before the restore"})
    assert refreshed([found])[0].status == "completed"
    with pytest.raises(Refused, match="pending, and not known to be at the service"):
        run(PendingOperation.resolve, ticked(unknown), ROOT)
