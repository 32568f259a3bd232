"""Lines on their way to their table: never lost in silence, never in the way."""

import datetime as dt
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from apps.jobs import keeping
from apps.jobs.keeping import Keeper, Line
from apps.jobs.models import LogLine

pytestmark = pytest.mark.django_db(transaction=True)


def said(text: str = "told", **more: Any) -> Line:
    return Line(
        **{"at": dt.datetime.now(dt.UTC), "level": 20, "logger": "apps.test", "text": text, "process": "test", **more}
    )


class Database:
    """A database that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.open: list[psycopg.Connection[Any]] = []

    def __call__(self) -> psycopg.Connection[Any]:
        if self.away:
            raise psycopg.OperationalError("connection refused")
        self.open.append(keeping.connect())
        return self.open[-1]

    def fall(self) -> None:
        self.away = True
        for connection in self.open:
            connection.close()

    def rise(self) -> None:
        self.away = False


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def keeper(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", (0.01, 0.02))
    keeper = Keeper(database, most=50)
    yield keeper
    database.rise()
    keeper.close(10)
    database.fall()


def test_a_line_is_kept_with_all_that_it_is_found_by(keeper: Keeper) -> None:
    keeper.put(
        said(
            "operation failed",
            level=40,
            trace="a" * 32,
            service="crm",
            fields={"status": 503},
            phones=["11 91234-5678"],
        )
    )
    assert keeper.written()
    [line] = LogLine.objects.all()
    assert (line.text, line.level, line.trace, line.service, line.fields) == (
        "operation failed",
        40,
        "a" * 32,
        "crm",
        {"status": 503},
    )
    assert len(line.phones) == 1


def test_lines_of_many_threads_are_all_kept(database: Database) -> None:
    keeper = Keeper(database)

    def say() -> None:
        for _line in range(200):
            keeper.put(said())

    threads = [threading.Thread(target=say) for _thread in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keeper.written()
    assert LogLine.objects.count() == 2000
    keeper.close(10)


def test_while_the_database_is_away_lines_are_held_and_then_written(keeper: Keeper, database: Database) -> None:
    keeper.put(said("before"))
    assert keeper.written()
    database.fall()
    for number in range(20):
        keeper.put(said(f"meanwhile {number}"))
    time.sleep(0.1)
    assert LogLine.objects.count() == 1
    database.rise()
    assert keeper.written()
    assert LogLine.objects.filter(text__startswith="meanwhile").count() == 20


def test_what_is_too_much_is_counted_and_said(keeper: Keeper, database: Database) -> None:
    database.fall()
    for number in range(80):
        keeper.put(said(f"line {number}"))
    database.rise()
    assert keeper.written()
    assert LogLine.objects.filter(text__startswith="line").count() == 50
    assert LogLine.objects.get(fields={"lost": 30}).level == 30


def test_whoever_logs_does_not_wait_for_a_database_that_hangs(database: Database) -> None:
    release = threading.Event()

    def hang() -> psycopg.Connection[Any]:
        release.wait(30)
        raise psycopg.OperationalError("timeout")

    keeper = Keeper(hang, most=50)
    for _line in range(100):
        keeper.put(said())
    assert keeper._lost == 50
    release.set()
    keeper.close(10)


def test_a_line_that_cannot_be_stored_keeps_no_other_out(keeper: Keeper) -> None:
    for text in ("good", "NUL \x00 in it", "good"):
        keeper.put(said(text))
    assert keeper.written()
    keeper.put(said("later"))
    assert keeper.written()
    assert LogLine.objects.filter(text="good").count() == 2
    assert LogLine.objects.filter(fields={"lost": 1}).count() == 1


def test_what_our_own_thread_says_is_not_kept(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    write = keeping._copy

    def noisy(*args: Any) -> None:
        keeper.put(said("the driver says something"))
        write(*args)

    monkeypatch.setattr(keeping, "_copy", noisy)
    keeper.put(said("ours"))
    assert keeper.written()
    assert [line.text for line in LogLine.objects.all()] == ["ours"]


def test_a_process_that_ends_writes_its_last_lines(keeper: Keeper) -> None:
    keeper.put(said("the last word"))
    keeper.close(10)
    assert LogLine.objects.filter(text="the last word").exists()


def test_a_forked_process_writes_its_own_lines_and_none_twice(keeper: Keeper, database: Database) -> None:
    keeper.put(said("parent, before"))
    assert keeper.written()
    child = os.fork()
    if child == 0:  # the child must not run pytest's own ending
        try:
            keeper.put(said("child"))
            keeper.close(10)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    keeper.put(said("parent, after"))
    assert keeper.written()
    assert sorted(line.text for line in LogLine.objects.all()) == ["child", "parent, after", "parent, before"]


def test_a_line_of_a_wrong_clock_is_kept(keeper: Keeper) -> None:
    keeper.put(said(at=dt.datetime(1999, 1, 1, tzinfo=dt.UTC)))
    assert keeper.written()
    assert LogLine.objects.get().at.year == 1999


def test_lines_alike_have_the_same_pattern() -> None:
    told = ["Operation 17 failed: HTTP 503 after 310 ms", "Operation 99 failed: HTTP 500 after 2 ms", "Paused"]
    assert len({keeping.pattern_of(text) for text in told}) == 2
