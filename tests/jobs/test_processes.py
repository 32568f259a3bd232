"""Processes as rows: signs of life, what each does now, and which secrets it holds."""

import datetime as dt
import os
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from apps.actions.leases import this_worker
from apps.actions.models import ActionRun
from apps.jobs import beating
from apps.jobs.beating import Beating, Pool, beat, forget_silent
from apps.jobs.fingerprints import SECRETS, differing, held
from apps.jobs.models import Job, JobRun, Process
from apps.jobs.models.process import live
from apps.jobs.working import at_work
from apps.operations.models import PendingOperation
from tests.api import Api
from tests.cast import Company

LIST = "/admin/jobs/process/"
LONG_AGO = Now() - dt.timedelta(minutes=1)


def process(name: str = "vm:7", **columns: Any) -> Process:
    told = {"kind": Process.Kind.WORKER, "node": "", "holders": [name], "version": "1"}
    return Process.objects.create(name=name, **told | columns)


@pytest.fixture
def page(client: Client, bia: User) -> Client:
    client.force_login(bia)
    return client


# Signs of life


def test_the_first_sign_of_life_makes_the_row_and_the_next_ones_move_it(db: None) -> None:
    me = Process(kind="web", name="vm:1", holders=["vm:1"])
    beat(me)
    Process.objects.update(beat_at=LONG_AGO)
    assert not live().exists()
    beat(me)
    assert [row.pk for row in live()] == [me.pk]


def test_a_row_that_was_swept_comes_back_with_its_beginning(db: None) -> None:
    me = Process(kind="web", name="vm:1", holders=["vm:1"])
    beat(me)
    began = me.since
    Process.objects.all().delete()
    beat(me)
    assert Process.objects.get().since == began


@pytest.mark.parametrize(("seconds", "silent"), [(14, False), (16, True)])
def test_a_process_is_silent_after_three_intervals(db: None, seconds: int, silent: bool) -> None:
    row = process(beat_at=Now() - dt.timedelta(seconds=seconds))
    row.refresh_from_db()
    now = row.beat_at + dt.timedelta(seconds=seconds)
    assert (row.silent_at(now), live().exists()) == (silent, not silent)


def test_what_fell_silent_a_day_ago_is_forgotten(db: None) -> None:
    process("vm:1", beat_at=Now() - dt.timedelta(hours=25))
    process("vm:2", beat_at=Now() - dt.timedelta(hours=23))
    forget_silent()
    assert Process.objects.get().name == "vm:2"


@pytest.mark.parametrize("same", [{"name": "vm:9"}, {"name": "vm:1", "node": "worker@vm"}])
def test_a_process_takes_the_silent_row_of_the_one_it_replaced(db: None, same: dict[str, str]) -> None:
    process(**same, beat_at=LONG_AGO)
    beat(Process(kind="worker", name="vm:9", node="worker@vm", holders=["vm:9"]))
    assert [row.name for row in Process.objects.all()] == ["vm:9"]


def test_one_that_lives_under_the_same_name_on_another_host_is_left_alone(db: None) -> None:
    process("box:7", node="celery@box")
    beat(Process(kind="worker", name="box:7", node="celery@box", holders=["box:7"]))
    assert Process.objects.count() == 2


def test_a_thread_gives_the_signs_and_takes_the_row_away(transactional_db: None) -> None:
    me = Process(kind="worker", name="vm:1", holders=["vm:1"])
    beating = Beating(me, lambda: Pool([os.getpid()]))
    beating.thread.start()
    while not Process.objects.exists():
        pass
    assert Process.objects.get().holders == ["vm:1", this_worker()]
    beating.stop()
    assert not Process.objects.exists()


def test_a_database_that_is_away_ends_no_process(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_me: Process) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(beating, "beat", away)
    Beating(Process(kind="web", name="vm:1"))._try(lambda: beating.beat(Process()))


def test_a_forked_child_leaves_its_parent_s_row_alone(db: None) -> None:
    ours = Beating(Process(kind="worker", name="vm:1"))
    ours.pid += 1
    ours.stop()
    assert not ours.stopped.is_set()


# What it does now


def test_a_worker_s_work_is_found_by_the_leases_of_its_pool(company: Company) -> None:
    PendingOperation.objects.filter(status="processing").update(worker="vm:8")
    (doing,) = at_work(["vm:7", "vm:8"])["vm:8"]
    assert doing.words == "drains crm: 2 operations"


def test_a_lease_that_lapsed_is_nobody_s_work(company: Company) -> None:
    PendingOperation.objects.filter(status="processing").update(worker="vm:8", lease_until=LONG_AGO)
    assert at_work(["vm:8"]) == {}


def test_a_bulk_run_is_named_with_its_page(db: None) -> None:
    record = ActionRun.objects.create(
        verb="retry", kind="k", status="running", actor_name="root", worker="vm:8", lease_until=Now() + LONG
    )
    (doing,) = at_work(["vm:8"])["vm:8"]
    assert (doing.words, doing.url) == (f"bulk run: {record}", record.get_absolute_url())


def test_a_job_run_is_named_with_its_page(db: None) -> None:
    record = JobRun.objects.create(
        job=Job.objects.create(slug="nightly", name="Every night"),
        status="running",
        worker="vm:8",
        lease_until=Now() + LONG,
    )
    (doing,) = at_work(["vm:8"])["vm:8"]
    assert (doing.words, str(record.pk) in doing.url) == (f"job run: {record}", True)


LONG = dt.timedelta(minutes=1)


# Secrets


def test_a_fingerprint_gives_nothing_of_the_secret_away(settings: Settings) -> None:
    settings.REDIS_URL = "redis://:hunter2-hunter2@localhost/0"
    told = held()
    assert set(told) == set(SECRETS)
    assert all(len(value) == 16 and "hunter2" not in value for value in told.values())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("REDIS_PASSWORD", {"REDIS_URL": "redis://:another@localhost/0"}),
        ("SECRET_KEY", {"SECRET_KEY": "another"}),
    ],
)
def test_another_secret_has_another_fingerprint(settings: Settings, name: str, change: dict[str, str]) -> None:
    before = held()
    for word, value in change.items():
        setattr(settings, word, value)
    assert differing(before, held()) == [name]


def test_without_the_pepper_no_password_can_be_tried_against_the_table(settings: Settings) -> None:
    before = held()
    settings.API_KEY_PEPPER = "another"
    assert differing(before, held()) == list(SECRETS)


# The page and the call


def test_the_page_says_who_lives_what_they_do_and_who_holds_an_older_secret(page: Client, company: Company) -> None:
    process("vm:7", holders=["vm:7", "vm:8"], secrets=held() | {"REDIS_PASSWORD": "old"}, since=LONG_AGO)
    process("vm:9", kind="beat", beat_at=LONG_AGO, secrets=held())
    process("vm:10", kind="web", secrets=held())
    PendingOperation.objects.filter(status="processing").update(worker="vm:8")
    told = {row.name: row.told for row in page.get(LIST).context["cl"].result_list}
    assert [doing.words for doing in told["vm:7"].doing] == ["drains crm: 2 operations"]
    assert (told["vm:7"].older, told["vm:10"].older) == (["REDIS_PASSWORD"], [])
    assert (told["vm:7"].silent, told["vm:9"].silent) == (False, True)


def test_the_page_shows_no_fingerprint(page: Client, db: None) -> None:
    row = process(secrets=held())
    shown = page.get(LIST).content.decode() + page.get(f"{LIST}{row.pk}/change/").content.decode()
    assert not [value for value in held().values() if value in shown]


def test_the_page_keeps_its_number_of_queries(page: Client, db: None) -> None:
    process()
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    for number in range(30):
        process(f"vm:1{number}")
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few) <= 16


def test_who_may_not_see_queues_may_not_see_processes(client: Client, caio: User) -> None:
    client.force_login(caio)
    assert client.get(LIST).status_code == 403


def test_nothing_is_added_changed_or_deleted_by_hand(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    row = process()
    answers = [client.post(f"{LIST}{path}").status_code for path in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/")]
    assert answers == [403, 403, 403]


def test_the_call_lists_them(bia_api: Api, company: Company) -> None:
    process("vm:7", node="worker@vm", queues=["drains"], concurrency=2, secrets=held())
    (told,) = bia_api.get("/api/processes").json()["items"]
    assert (told["node"], told["kind"], told["concurrency"], told["silent"]) == ("worker@vm", "worker", 2, False)
    assert "secrets" not in told


def test_the_call_is_refused_to_who_may_not_see_queues(caio_api: Api) -> None:
    assert caio_api.get("/api/processes").status_code == 403
