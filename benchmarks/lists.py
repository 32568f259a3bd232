"""Pages at ten million rows against the same pages at ten thousand: `python -m benchmarks.lists`.

Each page is asked for as a browser or a monitor asks, signed in, through the whole of the console: view, queries, template.
"""

import datetime as dt
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import frame
from benchmarks.frame import Path, Target
from benchmarks.ground import (
    at_once,
    empty,
    ground,
    in_bulk,
    keep,
    load_events,
    load_states,
    no_limits,
    settle_down,
    using,
)

FEW = 10_000
OPERATION_EVERY = dt.timedelta(milliseconds=60)
ASKED = {False: 15, True: 6}
"""So often a page is asked for in one round, in full and in short."""
OPERATIONS, LETTERS, EVENTS = (
    "/admin/operations/pendingoperation/",
    "/admin/deadletters/deadletter/",
    "/admin/integrations/integrationevent/",
)
LISTS = {
    "operations, failed, of a service": f"{OPERATIONS}?status=failed&service=piperun",
    "operations, completed, of a service": f"{OPERATIONS}?status=completed&service=erp",
    "operations, all, a page from the middle": f"{OPERATIONS}?older_than={{middle}}",
    "operations, found by a word of the error": f"{OPERATIONS}?q=upstream",
    "operations, found by the entity": f"{OPERATIONS}?q=order-4711",
    "dead letters, unresolved": f"{LETTERS}?status=unresolved",
    "events, processed, of a type": f"{EVENTS}?status=processed&type=lead.7",
    "events, found by the id": f"{EVENTS}?q=event-4711",
    "API: operations, failed": "/api/pending-operations?status=failed",
    "API: dead letters": "/api/dlq",
}
PAGES = {
    "home page": "/admin/",
    "dashboard": "/admin/dashboard/",
    "API: status": "/api/status",
    "API: dashboard": "/api/dashboard",
    "API: counts": "/api/pending-operations/status",
}


@contextmanager
def path(quick: bool) -> Iterator[list[Path]]:
    """Load few rows, keep them, and load many beside them; then ask both in turn."""
    many = 100_000 if quick else 10_000_000
    with ground(), asking() as clients:
        _load(FEW)
        keep()
        _load(many)
        few, lots = (_Size(rows, name, clients, ASKED[quick]) for rows, name in ((FEW, "kept"), (many, "")))
        yield [_lists(few, lots), _pages(lots)]


def _lists(few: "_Size", many: "_Size") -> Path:
    contenders: dict[str, Callable[[], float]] = {}
    for what, address in LISTS.items():
        contenders |= {size.named(what): partial(size.ask, address) for size in (few, many)}
    return Path(
        slug="lists",
        title=f"A page of a list, of {many.rows:,} rows and of {FEW:,}",
        unit="ms",
        contenders=contenders,
        targets=[Target(what, many.named(what), few.named(what), 1.5, 1.1) for what in LISTS],
        more_is_better=False,
    )


def _pages(many: "_Size") -> Path:
    return Path(
        slug="home",
        title=f"Pages that sum up, at {many.rows:,} rows",
        unit="ms",
        contenders={what: partial(many.ask, address) for what, address in PAGES.items()},
        targets=[Target(what, what, 1, 100, 40) for what in PAGES],
        more_is_better=False,
    )


class _Size:
    """The tables of one size, and who asks for pages of them."""

    def __init__(self, rows: int, database: str, clients: tuple[Any, Any], times: int) -> None:
        self.rows, self.database, self.clients, self.times = rows, database, clients, times

    def named(self, what: str) -> str:
        return f"{what}; {self.rows:,}"

    def ask(self, address: str) -> float:
        """Return how many milliseconds a page takes, the median of many."""
        client = self.clients[address.startswith("/api/")]
        address = address.format(middle=_key_of(OPERATION_EVERY * (self.rows // 2)))
        with using(self.database):
            return statistics.median(_milliseconds(client, address) for _time in range(self.times))


def _milliseconds(client: Any, address: str) -> float:
    began = time.perf_counter()
    answer = client.get(address)
    took = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{address}: {answer.status_code}")
    return took


def _key_of(age: dt.timedelta) -> str:
    from apps.jobs.retention import key_at

    return str(key_at(dt.datetime.now(dt.UTC) - age))


@contextmanager
def asking() -> Iterator[tuple[Any, Any]]:
    """Yield a browser that is signed in, and a system that shows its key; static files are there for their pages."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.core.management import call_command
    from django.test import Client

    from apps.integrations import keys

    no_limits()
    browser = Client(headers={"Accept": "text/html"})
    browser.force_login(get_user_model().objects.create_superuser("ana"))
    _key, plain = keys.make("monitor", Group.objects.get(name="Supervisor"))
    with TemporaryDirectory() as folder:
        settings.STATIC_ROOT = folder
        call_command("collectstatic", verbosity=0, interactive=False)
        yield browser, Client(headers={"X-API-Key": plain})


def _load(rows: int) -> None:
    empty()
    with in_bulk():
        operations = partial(load_states, completed=rows * 85 // 100, pending=rows // 10, failed=rows // 20)
        at_once(operations, partial(load_events, rows))
    settle_down()


if __name__ == "__main__":
    frame.main(path, __doc__)
