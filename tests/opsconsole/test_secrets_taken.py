"""`manage.py secrets_taken`: has every process taken the secrets that the environment names now? (S3-6 to S3-13)"""

import datetime as dt
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from pytest_django import Settings

from apps.jobs.fingerprints import held
from apps.jobs.models import Process


def process(name: str, **columns: object) -> Process:
    return Process.objects.create(name=name, **{"kind": "web", "secrets": held()} | columns)


def asked(*words: str) -> str:
    out = StringIO()
    call_command("secrets_taken", *words, stdout=out)
    return out.getvalue()


def test_it_ends_well_where_every_process_holds_the_present_ones(db: None) -> None:
    process("vm:1")
    process("vm:2", kind="worker", node="worker@vm")
    assert "Every process holds the secrets" in asked()


def test_a_process_that_holds_an_older_one_is_named_with_the_secret(db: None, settings: Settings) -> None:
    process("vm:1")
    settings.REDIS_URL = "redis://:new@localhost/0"
    process("vm:2")
    with pytest.raises(CommandError, match=r"Restart these, and ask again: web vm:1\.") as refusal:
        asked()
    assert refusal.value.returncode == 1


def test_silent_processes_hold_nothing(db: None) -> None:
    process("vm:1")
    process("vm:2", secrets={}, beat_at=Now() - dt.timedelta(minutes=1))
    assert "vm:2" not in asked()


def test_where_nothing_runs_nothing_was_taken(db: None) -> None:
    with pytest.raises(CommandError, match="No process of the console runs"):
        asked()


def test_no_secret_and_no_fingerprint_is_shown(db: None, settings: Settings) -> None:
    settings.REDIS_URL = "redis://:hunter2-hunter2@localhost/0"
    process("vm:1")
    said = asked()
    assert not [word for word in ["hunter2", settings.SECRET_KEY, *held().values()] if word in said]
