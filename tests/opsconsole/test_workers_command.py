"""`manage.py workers`: what is said, and with which code it ends. Real workers are asked in tests/chaos/test_workers.py."""

import datetime as dt
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from pytest_django import Settings

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.jobs.models import Process, Queue
from opsconsole import celery, workers
from tests.cast import ROOT, Company

SILENT = Now() - dt.timedelta(minutes=1)


def process(kind: str = "worker", **columns: Any) -> Process:
    told = {
        "name": f"vm:{kind}",
        "node": f"{kind}@vm",
        "holders": [f"vm:{kind}"],
        "concurrency": 2,
        "queues": ["drains"],
    }
    return Process.objects.create(kind=kind, **told | columns)


@pytest.fixture
def fleet(db: None) -> list[Process]:
    return [process(kind, restarted_by="make run") for kind in ("worker", "ticker", "beat")]


def status(*words: str) -> tuple[int, str]:
    """The exit code and what was said."""
    out = StringIO()
    try:
        call_command("workers", "status", *words, stdout=out, stderr=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def refused(*words: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as refusal:
        call_command("workers", *words, stdout=StringIO())
    return refusal.value.returncode, str(refusal.value)


def pause_all() -> None:
    run(Queue.pause, Selection.matching(Queue, {"status": "active"}), ROOT, given={"reason": "a deploy"})


def test_running_workers_end_with_0(company: Company, fleet: list[Process]) -> None:
    code, said = status()
    assert code == 0
    assert "worker@vm" in said
    assert said.rstrip().endswith("running")


def test_every_queue_paused_ends_with_1(company: Company, fleet: list[Process]) -> None:
    pause_all()
    code, said = status()
    assert (code, "paused: every queue is" in said) == (1, True)


@pytest.mark.parametrize("kinds", [(), ("web", "ticker", "beat")])
def test_no_worker_ends_with_2(company: Company, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        process(kind)
    assert status()[0] == 2


def test_a_worker_that_only_carries_jobs_is_none(company: Company) -> None:
    process(queues=["jobs"])
    assert status()[0] == 2


def test_a_silent_worker_is_none(company: Company) -> None:
    process(beat_at=SILENT)
    code, said = status()
    assert (code, "silent" in said) == (2, True)


def test_a_missing_tick_is_told_beside_it(company: Company) -> None:
    process()
    code, said = status()
    assert (code, "Beat or the ticker does not run" in said) == (0, True)


def test_programs_read_it_as_json(company: Company, fleet: list[Process]) -> None:
    code, said = status("--json")
    told = json.loads(said)
    queues = {queue["name"]: queue for queue in told["queues"]}
    assert (code, told["status"]) == (0, "running")
    assert [each["kind"] for each in told["processes"]] == ["beat", "ticker", "worker"]
    assert (queues["crm"]["length"], queues["crm"]["processes"]) == (2, 0)


def test_a_worker_that_nobody_starts_again_is_not_ended(fleet: list[Process]) -> None:
    process(name="vm:9", node="mine@vm")
    code, words = refused("restart")
    assert code == 1
    assert "Nobody is known to start mine@vm again" in words


def test_without_workers_nothing_is_restarted_or_scaled(db: None) -> None:
    assert "No worker runs" in refused("restart")[1]
    assert "No worker runs" in refused("scale", "2")[1]


@pytest.mark.parametrize("number", ["0", "101", "-1"])
def test_a_number_that_makes_no_sense_is_refused(fleet: list[Process], number: str) -> None:
    assert refused("scale", number) == (2, "A worker carries 1 to 100 things at once. Pause a queue to stop it.")


@pytest.mark.parametrize("words", [["restart"], ["scale", "2"]])
def test_a_broker_that_is_away_is_told_at_once(
    fleet: list[Process], monkeypatch: pytest.MonkeyPatch, settings: Settings, words: list[str]
) -> None:
    # The second is worked out of the first: what it was is remembered before that is changed.
    monkeypatch.setattr(celery.app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(celery.app.conf, "broker_url", "redis://127.0.0.1:1/0")
    code, said = refused(*words)
    assert (code, "The broker cannot be reached" in said) == (1, True)


def test_workers_that_do_not_come_back_are_named(fleet: list[Process], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery, "end_in_order", lambda _nodes: None)
    code, words = refused("restart", "--wait", "0.1")
    assert code == 1
    assert "ticker@vm, worker@vm did not come back within 0 s" in words


def test_a_worker_is_back_when_another_process_beats_in_its_place(
    fleet: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(nodes: list[str]) -> None:
        for kind in ("worker", "ticker"):
            process(kind, name=f"vm:new-{kind}")

    monkeypatch.setattr(celery, "end_in_order", end)
    said: list[str] = []
    assert workers.restart(workers.restartable()[0], 5, said.append) == []
    assert sorted(said) == ["ticker@vm is back as vm:new-ticker.", "worker@vm is back as vm:new-worker."]
