"""Several at once: threads that start together, each with a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


def at_once(*works: Callable[[], Result]) -> list[Result | Exception]:
    """Do all the works at the same moment; return what each came to, an exception where it raised one."""
    line = threading.Barrier(len(works))
    came_to: dict[int, Result | Exception] = {}
    threads = [threading.Thread(target=_run, args=(line, came_to, place, work)) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [came_to[place] for place in range(len(works))]


def _run(
    line: threading.Barrier, came_to: dict[int, Result | Exception], place: int, work: Callable[[], Result]
) -> None:
    try:
        connection.ensure_connection()
        line.wait(timeout=30)
        came_to[place] = work()
    except Exception as error:  # whatever it is, the test looks at it
        came_to[place] = error
    finally:
        connection.close()


def raised(results: Sequence[object]) -> list[Exception]:
    """Return what was raised."""
    return [result for result in results if isinstance(result, Exception)]
