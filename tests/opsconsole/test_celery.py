import pytest
from celery.exceptions import OperationalError

from opsconsole.celery import app


def test_a_broker_that_is_away_is_tried_again_every_second() -> None:
    waits: list[float] = []
    with app.connection("redis://127.0.0.1:1/0") as connection, pytest.raises(OperationalError):
        connection.ensure_connection(lambda _error, wait: waits.append(wait), 3)
    assert set(waits) == {1.0}


def test_a_channel_that_a_lost_broker_left_half_closed_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def trip() -> None:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")

    connection = app.connection()
    monkeypatch.setattr(connection.default_channel, "close", trip)
    connection.close()


def test_the_tick_goes_apart_from_what_takes_seconds() -> None:
    def queue_of(task: str) -> str:
        return str(app.amqp.router.route({}, task)["queue"].name)

    app.loader.import_default_modules()
    names = [name for name in app.tasks if name.startswith("apps.")]
    assert {name for name in names if queue_of(name) == "ticks"} == {"apps.jobs.tasks.tick"}
    assert {name for name in names if queue_of(name) == "jobs"} == {"apps.jobs.tasks.work_off"}
    assert {queue_of(name) for name in names} == {"ticks", "drains", "jobs"}
