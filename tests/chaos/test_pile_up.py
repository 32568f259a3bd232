"""R24: somebody holds a lock and does nothing. Nobody waits for long, and all is well again when it is gone."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection

from apps.integrations.models import Service
from apps.jobs.models import Queue
from apps.operations.models import PendingOperation
from tests.chaos.callers import PATH
from tests.chaos.conftest import hand_in
from tests.chaos.web import Web
from tests.chaos.world import World
from tests.simulator_process import Simulator

CLIENTS = 200
WELL_AGAIN_SECONDS = 10
PATIENCE_SECONDS = 60
LISTS = f"{PATH}/list?limit=5"


def session_of(options: str = "") -> psycopg.Connection:
    """A connection to the world's database, with limits of its own."""
    told = connection.settings_dict
    return psycopg.connect(
        host=told["HOST"], dbname=told["NAME"], user=told["USER"], password=told["PASSWORD"], options=options
    )


@contextmanager
def idle_in_transaction(options: str = "") -> Iterator[psycopg.Connection]:
    """Somebody who locked the operations, and went to lunch."""
    session = session_of(options)
    try:
        session.execute("LOCK TABLE operations_pendingoperation IN ACCESS EXCLUSIVE MODE")
        yield session
    finally:
        session.close()


def ask(web: Web) -> tuple[int, float, bool]:
    """Return the status, the seconds, and whether it says when to come again."""
    began = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(web.url + LISTS, headers=web.headers, timeout=PATIENCE_SECONDS)
    return answer.status_code, time.monotonic() - began, "Retry-After" in answer.headers


def well_again_after(web: Web) -> float:
    began = time.monotonic()
    while ask(web)[0] != 200:
        assert time.monotonic() - began < PATIENCE_SECONDS
    return time.monotonic() - began


def test_two_hundred_clients_at_a_lock_are_told_to_come_again(
    world: World, simulator: Simulator, erp: Service, queue: Queue, web: Web
) -> None:
    hand_in(erp, queue, 10)
    with ThreadPoolExecutor(CLIENTS) as clients:
        with idle_in_transaction():
            asked = [clients.submit(ask, web) for _client in range(CLIENTS)]
            done = [asked[n].result(PATIENCE_SECONDS) for n in range(20)]
        seconds = well_again_after(web)
        rest = [one.result(PATIENCE_SECONDS) for one in asked[20:]]
    assert Counter(status for status, _seconds, _says in done) == {503: 20}
    assert {status for status, _seconds, _says in rest} <= {200, 503}
    assert all(says for status, _seconds, says in [*done, *rest] if status == 503)
    assert seconds <= WELL_AGAIN_SECONDS


def test_handing_in_at_a_lock_is_refused_and_loses_nothing(world: World, erp: Service, queue: Queue, web: Web) -> None:
    body = {"service": "erp", "queue": "crm", "operation_type": "http.post", "payload": {"n": 1}}
    with idle_in_transaction():
        answer = web.send(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "database")
    assert not PendingOperation.objects.exists()
    assert web.send(PATH, body).status_code == 202


def test_a_session_of_ours_that_idles_in_a_transaction_is_ended(
    world: World, erp: Service, queue: Queue, web: Web
) -> None:
    """By the limit that every program of ours asks for: nobody has to find it and end it."""
    ours = str(settings.DATABASES["default"]["OPTIONS"]["options"])
    assert "idle_in_transaction_session_timeout=15000" in ours
    with idle_in_transaction(ours) as session:
        assert ask(web)[0] == 503
        time.sleep(15)
        assert well_again_after(web) <= WELL_AGAIN_SECONDS
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            session.execute("SELECT 1")


def test_a_statement_that_takes_too_long_is_broken_off(world: World) -> None:
    ours = str(settings.DATABASES["default"]["OPTIONS"]["options"])
    with session_of(ours) as session:
        [limit] = session.execute("SHOW statement_timeout").fetchone() or [""]
        assert limit == "5s"
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(20)")
