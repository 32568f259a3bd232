"""`/health/detailed`: every check in numbers; one that fails or hangs says so, and takes no other with it (D20, S1-26 to S1-29)."""

import datetime as dt
import json
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client

from apps.actions.running import run
from apps.integrations import keys
from apps.jobs.models import Heartbeat, Job, Process, Queue
from opsconsole import vitals
from opsconsole.vitals import Check, Finding
from tests.api import Api, problem
from tests.cast import ROOT, Company
from tests.contracts.world import one

pytestmark = pytest.mark.django_db(transaction=True)
Told = dict[str, Any]


@pytest.fixture
def ticking(company: Company) -> Company:
    Heartbeat.objects.create(name="tick", interval_seconds=5)
    Process.objects.create(name="here:1", kind="worker", node="worker@here", concurrency=2)
    return company


def detailed(caller: Api, status: int = 200) -> Told:
    answer = caller.get("/health/detailed")
    assert answer.status_code == status, answer.content
    found: Told = answer.json()
    return found


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, look: Any) -> None:
    known = vitals.CHECKS[name]
    monkeypatch.setitem(vitals.CHECKS, name, Check(known.title, look, known.numbers))


def test_it_tells_what_runbook_1_reads(bia_api: Api, ticking: Company) -> None:
    Queue.objects.create(slug="notifications", name="Messages")
    found = detailed(bia_api)
    assert found["status"] == "ok"
    assert found["checks"]["database"]["latency_ms"] > 0
    assert found["checks"]["queues"]["sizes"] == {"books": 1, "crm": 2, "notifications": 0}
    assert found["checks"]["queues"]["total"] == 3


def test_it_tells_of_broker_disk_memory_and_connections(bia_api: Api, ticking: Company) -> None:
    checks = detailed(bia_api)["checks"]
    assert checks["broker"]["maxmemory_policy"] == "noeviction"
    assert checks["broker"]["evicted_keys"] == 0
    assert checks["disk"]["free_bytes"] > 0
    assert checks["memory"]["available_bytes"] > 0
    assert checks["connections"]["by_state"]["active"] >= 1


def test_it_stands_under_api_too(bia_api: Api, ticking: Company) -> None:
    assert bia_api.get("/api/health/detailed").json().keys() == detailed(bia_api).keys()


def test_without_a_key_it_says_nothing(client: Client) -> None:
    assert problem(client.get("/health/detailed"), 401)["code"] == "key_required"


@pytest.mark.parametrize(("scope", "status"), [("queues:view", 200), ("tenants:view", 403)])
def test_a_key_for_monitors_needs_one_scope(ticking: Company, scope: str, status: int) -> None:
    _key, plain = keys.make("Prometheus", Group.objects.get(name="Viewer"), scopes=[scope])
    assert [Api(plain).get(path).status_code for path in ("/health/detailed", "/metrics")] == [status, status]


def test_a_browser_is_led_to_the_page(client: Client) -> None:
    answer = client.get("/health/detailed", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/health/")


def test_silence_for_three_intervals_is_told(bia_api: Api, ticking: Company) -> None:
    Heartbeat.objects.update(beat_at=Now() - dt.timedelta(seconds=16))
    found = detailed(bia_api, 503)
    assert found["status"] == "degraded"
    assert (found["checks"]["beat"]["status"], found["checks"]["beat"]["silent"]) == ("error", ["tick"])
    assert "tick" in found["checks"]["beat"]["message"]


def test_silence_for_less_is_not(bia_api: Api, ticking: Company) -> None:
    Heartbeat.objects.update(beat_at=Now() - dt.timedelta(seconds=12))
    assert detailed(bia_api)["checks"]["beat"]["status"] == "ok"


def test_a_beat_that_never_ticked_is_told(bia_api: Api, company: Company) -> None:
    assert "never ticked" in detailed(bia_api, 503)["checks"]["beat"]["message"]


def test_a_check_that_hangs_says_so_and_holds_up_nobody(
    bia_api: Api, ticking: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "DEADLINE_SECONDS", 2.0)
    replaced(monkeypatch, "disk", lambda: time.sleep(4))
    checks = detailed(bia_api, 503)["checks"]
    assert checks["disk"] == {"status": "error", "message": "It did not answer in time.", "free_bytes": None}
    assert checks["database"]["status"] == "ok"


def test_a_check_that_breaks_says_so(bia_api: Api, ticking: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise ZeroDivisionError

    replaced(monkeypatch, "queues", broken)
    found = detailed(bia_api, 503)["checks"]["queues"]
    assert (found["status"], found["total"], found["sizes"]) == ("error", None, None)
    assert "ZeroDivisionError" in found["message"]


def test_without_redis_the_rest_is_told(bia_api: Api, ticking: Company, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    checks = detailed(bia_api, 503)["checks"]
    assert (checks["redis"]["status"], checks["redis"]["latency_ms"]) == ("error", None)
    assert "Work is kept" in checks["redis"]["message"]
    assert checks["queues"]["total"] == 3


def test_without_the_database_its_clients_still_read_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_words: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(keys, "find", away)
    answer = Api("ops_any").get("/health/detailed")
    assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
    assert answer.json()["checks"]["database"]["latency_ms"] is None


def test_a_broker_that_drops_keys_is_warned_of(bia_api: Api, ticking: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    with vitals._broker() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = detailed(bia_api)["checks"]["broker"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert found["status"] == "warning"
    assert "noeviction" in found["message"]


def test_an_old_queue_is_warned_of_and_a_paused_one_is_not(bia_api: Api, ticking: Company) -> None:
    for row in ticking.operations["pending"]:
        type(row).objects.filter(pk=row.pk).update(due_at=Now() - dt.timedelta(minutes=5))
    found = detailed(bia_api)["checks"]["queues"]
    assert (found["status"], "crm" in found["message"]) == ("warning", True)
    run(Queue.pause, one(Queue, ticking.crm), ROOT, given={"reason": "the CRM is being moved"})
    found = detailed(bia_api)["checks"]["queues"]
    assert (found["status"], found["paused"]) == ("ok", ["crm"])


@pytest.mark.parametrize(("used", "status"), [(10.0, "ok"), (90.0, "warning"), (97.0, "error")])
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, used: float, status: str) -> None:
    usage = SimpleNamespace(free=1, total=100, percent=used)
    monkeypatch.setattr(psutil, "disk_usage", lambda _folder: usage)
    assert vitals.disk().status == status


def test_the_workers_that_live_are_told(bia_api: Api, ticking: Company) -> None:
    found = detailed(bia_api)["checks"]["workers"]
    assert (found["status"], found["workers"], found["concurrency"]) == ("ok", ["worker@here"], 2)


def test_no_worker_that_lives_is_an_error(bia_api: Api, ticking: Company) -> None:
    Process.objects.update(beat_at=Now() - dt.timedelta(seconds=16))
    found = detailed(bia_api, 503)["checks"]["workers"]
    assert (found["status"], found["silent"]) == ("error", ["worker@here"])
    assert "celery -A opsconsole worker" in found["message"]


def test_one_that_fell_silent_beside_others_is_a_warning(bia_api: Api, ticking: Company) -> None:
    Process.objects.create(name="here:2", kind="worker", beat_at=Now() - dt.timedelta(minutes=1))
    assert detailed(bia_api)["checks"]["workers"]["status"] == "warning"
    Process.objects.filter(name="here:2").update(beat_at=Now() - dt.timedelta(minutes=11))
    found = detailed(bia_api)["checks"]["workers"]
    assert (found["status"], found["silent"]) == ("ok", ["here:2"])


def test_a_slot_that_nothing_opens_is_an_error(bia_api: Api, ticking: Company) -> None:
    Job.objects.update(next_at=Now() - dt.timedelta(minutes=1))
    Job.objects.get_or_create(slug="late", defaults={"name": "Late", "cron": "0 3 * * *"})
    Job.objects.filter(slug="late").update(next_at=Now() - dt.timedelta(minutes=1))
    found = detailed(bia_api, 503)["checks"]["jobs"]
    assert (found["status"], found["slots_late"] >= 1) == ("error", True)


# The same picture elsewhere


def test_status_prints_the_picture(ticking: Company, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("status")
    printed = capsys.readouterr().out
    assert "Everything that we stand on is in order." in printed
    assert "waiting books 1, crm 2" in printed
    assert "3 pending, 2 processing, 3 failed" in printed


def test_status_ends_with_1_where_something_is_wrong(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("status")
    assert ended.value.code == 1
    assert "BAD  Beat" in capsys.readouterr().out


def test_status_prints_it_for_programs(ticking: Company, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("status", "--json")
    assert json.loads(capsys.readouterr().out)["checks"]["queues"]["total"] == 3


def test_the_page_shows_what_is_wrong_first(company: Company, admin_client: Client) -> None:
    text = admin_client.get("/admin/health/").content.decode()
    assert "Wrong: Beat, Workers." in text
    assert text.index("It has never ticked") < text.index(">Disk<")


def test_the_page_is_told_in_the_readers_language(company: Company, admin_client: Client) -> None:
    admin_client.cookies["django_language"] = "pt-br"
    text = admin_client.get("/admin/health/").content.decode()
    assert "It has never ticked" not in text


def test_the_moving_part_of_the_page_comes_alone(ticking: Company, admin_client: Client) -> None:
    text = admin_client.get("/admin/health/", headers={"HX-Request": "true", "HX-Target": "health-live"}).content
    assert b"<html" not in text
    assert b"health-live" in text
