"""How rows leave: in batches of one short transaction each, so that writers beside it never wait long.

A batch locks what it takes and steps over what others hold, asks the policy's condition of the rows as they stand then,
writes them to a file where the policy says so, and deletes them. Killed at any point, it goes on from what is committed.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, OperationalError, connection, models
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.deadletters.failures import FailureClass
from apps.jobs import archiving, growth, partitions
from apps.jobs.archiving import ArchiveFailed
from apps.jobs.catalogue import KEPT, PARTED, Kept
from apps.jobs.execution import JobFailed, Work
from apps.jobs.models import JobRun, RetentionPolicy
from apps.jobs.models.retention import LONGEST_DAYS
from apps.jobs.partitions import Partition
from apps.jobs.retention import Walk, aged, catalogue, days_of, going, relations, waits_for

FIRST, SMALLEST, LARGEST = 500, 100, 30_000
"""Rows of a batch: the first, the fewest and the most. With fewer, what each batch costs by itself would outweigh its rows."""
AIMED_SECONDS = 0.2
"""So long a batch is to take: the next one is fitted to how long this one took, at most doubled or halved.

Shorter ones serve writers beside it no better: of 0.02 to 0.3 s, 0.2 was about the best.
"""
STATEMENT_MS, LOCK_MS = 500, 200
"""A statement that takes longer is broken off, and tried again with fewer rows: no transaction stays open for a second."""
PICKED = "ANY(ARRAY(SELECT pk FROM picked))"
"""The keys of a batch as one array, which the planner looks up in an index, however many it takes them for."""
TRIES = 8
"""So often a batch is broken off, ever smaller, before the purge of its rows gives up."""
WORK_SECONDS = 1.0
"""So long batches follow one another, unless others wait; then comes the rest for all of them.

Who comes back from a rest goes before those who wait for a processor: a rest after each batch kept writers waiting longer.
"""
REST, REST_WHILE_OTHERS_WAIT = 0.5, 1.0
"""After it the disk and the processors are left to others for so much of the time it took."""
REST_AT_MOST = 2.0


Sql = tuple[str, tuple[Any, ...]]


@dataclass
class Purge:
    """The purge of one policy's rows in one run."""

    kept: Kept
    policy: RetentionPolicy
    work: Work
    before: datetime
    tries: int = 0
    worked: float = 0.0

    def __post_init__(self) -> None:
        self.size = FIRST
        self.walk = Walk(self.kept, self.before)
        self.rows = aged(self.kept, self.before)

    def run(self) -> None:
        """Take all that may go, batch by batch; what others hold stays for the next purge."""
        over = False
        if self.kept.parted:
            self._drop_parts()
        while not over:
            began = time.monotonic()
            try:
                over = self._batch()
                self.tries = 0
            except (OperationalError, IntegrityError):  # or somebody has just begun to need one of the rows
                if not self._shrink():
                    raise
            seconds = time.monotonic() - began
            self._fit(seconds)
            self._rest(seconds)

    def _drop_parts(self) -> None:
        """Drop the parts that are old as a whole and hold nothing that is needed: no row is looked at one by one."""
        parted = next(each for each in PARTED if each.table == self.rows.model._meta.db_table)
        for part in partitions.partitions(parted):
            if part.ends_at and part.ends_at <= self.before and not _is_needed(self.kept, part):
                try:
                    self._drop(part)
                except OperationalError:
                    words = _("%(what)s: a part is in use and stays until the next purge.")
                    self.work.say(words % {"what": self.kept.what})

    def _drop(self, part: Partition) -> None:
        rows = self.rows.model._base_manager.filter(**{f"{self.kept.aged}__lt": part.ends_at})
        within = rows.filter(**{f"{self.kept.aged}__gte": part.starts_at}) if part.starts_at else rows
        with self.work.chunk() as counts:
            if _still_active(self.policy):
                counts[self.kept.slug] += within.count()
                partitions.drop(part)

    def _batch(self) -> bool:
        """Take one batch; say whether it was the last."""
        with self.work.chunk() as counts, _hurried():
            if not _still_active(self.policy):
                return True
            window = self.walk.ahead(self.size) if self.kept.by_key else None
            rows = self.walk.rows(window, self.rows) if window else self.rows
            picked = _locking(rows.order_by("pk" if window else self.kept.aged)[: self.size])
            if self.policy.archives:
                picked = self._archived(picked, counts)
            found, gone = _delete(self.rows.model, picked)
            counts[self.kept.slug] += gone
        if window:
            self.walk.after = window.end
        return window.last if window else found < self.size

    def _archived(self, picked: Sql, counts: Counter[str]) -> Sql:
        """Lock rows and put them into the file, with what hangs on them; return what picks them from now on."""
        model = self.rows.model
        keys = _keys(picked)
        told = [(model, str(model._meta.pk.column)), *_hanging(model)]
        written = [archiving.rows_as_json(each._meta.db_table, column, keys) for each, column in told]
        counts[f"{self.kept.slug} archived"] += archiving.append(self.policy, self.work.run.pk, written)
        return f"SELECT unnest(%s::{model._meta.pk.rel_db_type(connection)}[])", (keys,)

    def _shrink(self) -> bool:
        """Go on with fewer rows: the batch took too long, or met somebody who did not let go. Say whether it may."""
        self.tries += 1
        if not connection.in_atomic_block and not connection.is_usable():
            connection.close()  # the next chunk connects anew
        self.size = max(self.size // 4, SMALLEST)
        return self.tries < TRIES

    def _fit(self, seconds: float) -> None:
        """Fit the next batch to how long this one took."""
        if not self.tries:
            fitting = self.size * min(max(AIMED_SECONDS / seconds, 0.5), 2)
            self.size = min(max(int(fitting), SMALLEST), LARGEST)

    def _rest(self, seconds: float) -> None:
        """Let others work, once they wait or enough was done."""
        self.worked += seconds
        others_wait = _others_wait()
        if others_wait or self.worked >= WORK_SECONDS:
            time.sleep(min(self.worked * (REST_WHILE_OTHERS_WAIT if others_wait else REST), REST_AT_MOST))
            self.worked = 0.0


def _is_needed(kept: Kept, part: Partition) -> bool:
    return bool(kept.needs_part and import_string(kept.needs_part)(part.starts_at, part.ends_at))


def cleanup(work: Work) -> None:
    """Measure the tables, then purge each policy's rows (S1-91, S3-38). The handler of the job `cleanup`.

    `given` may name `policies`, other `days` for them, and `dry_run`, which only counts. A policy that fails does not
    keep the others from their purge; the run fails then, and says which.
    """
    growth.measure()
    now, failures, days = database_now(), [], _days(work)
    for kept, policy in _chosen(work):
        before = now - timedelta(days=days or days_of(policy))
        if policy.status == RetentionPolicy.Status.HELD:
            work.say(_("%(what)s: held (%(reason)s).") % {"what": kept.what, "reason": policy.held_reason})
        elif work.given.get("dry_run"):
            _foresee(work, kept, before)
        elif error := _purge(work, kept, policy, before):
            failures.append(error)
    if failures:
        raise JobFailed(" ".join(failures), FailureClass.CONFIG, "purge")


def _days(work: Work) -> int | None:
    """Return the days that the run was asked with, instead of the policies' own."""
    days = work.given.get("days")
    if days is None or (type(days) is int and 1 <= days <= LONGEST_DAYS):
        return days
    raise _asked_wrongly(_("days takes a whole number from 1 to %(most)s.") % {"most": LONGEST_DAYS})


def _chosen(work: Work) -> list[tuple[Kept, RetentionPolicy]]:
    """Return the policies that the run is about, in the catalogue's order."""
    wanted = work.given.get("policies", list(catalogue()))
    if not isinstance(wanted, list) or not {*wanted} <= catalogue().keys():
        raise _asked_wrongly(
            _("policies takes a list of retention policies: %(known)s.") % {"known": ", ".join(catalogue())}
        )
    rows = RetentionPolicy.objects.in_bulk(wanted, field_name="slug")
    return [(kept, rows[kept.slug]) for kept in KEPT if kept.slug in rows]


def _asked_wrongly(words: str) -> JobFailed:
    return JobFailed(words, FailureClass.CONFIG, "bad_request")


def _purge(work: Work, kept: Kept, policy: RetentionPolicy, before: datetime) -> str:
    """Purge a policy's rows and write down what came of it; return why it ended early, if it did."""
    began, error = time.monotonic(), ""
    if policy.archives:
        with work.chunk():
            if _still_active(policy):
                archiving.close_left(policy, work.run.pk)
    try:
        Purge(kept, policy, work, before).run()
    except (ArchiveFailed, OperationalError) as failure:
        error = f"{kept.what}: {str(failure).strip()}"
    counts = JobRun.objects.values_list("counts", flat=True).get(pk=work.run.pk)  # with those before a kill
    gone, put_away = counts.get(kept.slug, 0), counts.get(f"{kept.slug} archived", 0)
    told = {"ran_at": Now(), "ran_seconds": time.monotonic() - began, "deleted": gone, "archived": put_away}
    RetentionPolicy.objects.filter(pk=policy.pk).update(**told, last_error=error, run_id=work.run.pk)
    work.say(
        error
        or _("%(what)s: %(count)s deleted, %(archived)s archived.")
        % {"what": kept.what, "count": gone, "archived": put_away}
    )
    return error


def _foresee(work: Work, kept: Kept, before: datetime) -> None:
    found = going(kept, before)
    with work.chunk() as counts:
        counts[f"{kept.slug} would go"] = found.count
    words = _("%(what)s: at least %(count)s would go.") if found.at_least else _("%(what)s: %(count)s would go.")
    work.say(words % {"what": kept.what, "count": found.count})


@contextmanager
def _hurried() -> Iterator[None]:
    """Let no statement of this transaction take long, nor wait long for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL lock_timeout = {LOCK_MS}")
    yield
    with connection.cursor() as cursor:  # a transaction around this one goes on as it was
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT; SET LOCAL lock_timeout TO DEFAULT")


def _still_active(policy: RetentionPolicy) -> bool:
    """Hold the policy's row: whoever holds it back waits for the end of the batch, and after that nothing more goes."""
    active = RetentionPolicy.objects.filter(pk=policy.pk, status=RetentionPolicy.Status.ACTIVE)
    return active.select_for_update(no_key=True).exists()


def _hanging(model: type[models.Model]) -> Iterator[tuple[Any, str]]:
    """Yield the models, and their columns, whose rows go with those of a model."""
    for relation in relations(model):
        if relation.on_delete is models.CASCADE and not waits_for(relation):
            yield relation.related_model, relation.field.column


def _loosened(model: type[models.Model]) -> Iterator[tuple[Any, str]]:
    """Yield the models, and their columns, that forget the rows they point to."""
    for relation in relations(model):
        if relation.on_delete is models.SET_NULL:
            yield relation.related_model, relation.field.column


def _locking(rows: models.QuerySet[Any]) -> Sql:
    """Return what locks rows and picks their keys, stepping over those that others hold."""
    return rows.select_for_update(of=("self",), skip_locked=True).values_list("pk").query.sql_with_params()


def _keys(picked: Sql) -> str:
    """Return keys as PostgreSQL writes an array: thousands of them go to and fro unread."""
    sql, params = picked
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(array_agg(pk)::text, '{{}}') FROM ({sql}) AS picked(pk)", params)  # noqa: S608 # Django's own SQL
        return str(cursor.fetchone()[0])


def _delete(model: type[models.Model], picked: Sql) -> tuple[int, int]:
    """Delete rows with what hangs on them, and let others forget them; return how many were picked, and how many went.

    One statement: their keys need not leave the database.
    """
    sql, params = picked
    key = str(model._meta.pk.column)
    along = [_deleting(each, column) for each, column in _hanging(model)]
    along += [_forgetting(each, column, model) for each, column in _loosened(model)]
    parts = "".join(f", along{number} AS ({statement})" for number, statement in enumerate(along))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH picked(pk) AS MATERIALIZED ({sql}){parts}, gone AS ({_deleting(model, key)} RETURNING 1)"  # noqa: S608 # names from models only
            " SELECT (SELECT count(*) FROM picked), (SELECT count(*) FROM gone)",
            params,
        )
        found, gone = cursor.fetchone()
    return found, gone


def _deleting(model: type[models.Model], column: str) -> str:
    return f"DELETE FROM {_table(model)} WHERE {_quoted(column)} = {PICKED}"  # noqa: S608 # names from models only


def _forgetting(model: type[models.Model], column: str, gone: type[models.Model]) -> str:
    """Return what lets rows forget those that go; no statement may change and delete the same row."""
    name, key = _quoted(column), _quoted(str(model._meta.pk.column))
    stays = f" AND NOT {key} = {PICKED}" if model is gone else ""
    return f"UPDATE {_table(model)} SET {name} = NULL WHERE {name} = {PICKED}{stays}"  # noqa: S608 # names from models only


def _table(model: type[models.Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str) -> str:
    return str(connection.ops.quote_name(name))


def _others_wait() -> bool:
    """Say whether somebody waits for a lock at this moment. Waiting for the disk says nothing: every commit does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND pid <> pg_backend_pid() AND wait_event_type IN ('Lock', 'LWLock', 'BufferPin'))"
        )
        return bool(cursor.fetchone()[0])
