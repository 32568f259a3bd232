"""How a sync runs: page by page from its cursor, each page and the cursor in one transaction; then the next kind of record.

No transaction is open during a call. Whatever kills the worker, the next one reads on behind the last page that was
committed. The watermark moves only with the last page of a pass.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions.running import database_now
from apps.actions.verbs import Invalid
from apps.deadletters.failures import FailureClass
from apps.integrations.connectors.shape import Reading
from apps.integrations.masking import masked_text
from apps.integrations.outcome import Outcome, Page
from apps.integrations.routing import EndpointPaused, MappingFailed
from apps.jobs.execution import JobFailed, Work
from apps.syncs.calling import called
from apps.syncs.catalogue import readings_of
from apps.syncs.models import Sync, SyncCursor
from apps.syncs.storing import MostRejected, store

GOES_ON = (FailureClass.PERMANENT_DATA, FailureClass.CONFIG, FailureClass.UNKNOWN)
"""What fails one kind of record alone: the others are read all the same. Anything else would fail them, too."""


class BegunElsewhere(Exception):
    """A person let the cursor begin elsewhere while a page was read: that page is not written."""


def pull(work: Work) -> None:
    """Read what changed since the last time: for the run's tenant, or between two of our own systems (S1-57, S3-35)."""
    rows = Sync.objects.select_related("job", "tenant", "service")
    sync = rows.filter(job=work.run.job_id, tenant=work.tenant).first()
    if sync is None:
        work.say(_("Nothing is set up to be read. Add a sync for it, under Syncs."), logging.WARNING)
    elif sync.status == Sync.Status.PAUSED:
        work.say(_("It is paused: %(reason)s") % {"reason": sync.paused_reason}, logging.WARNING)
    else:
        _read_all(work, sync)


def _read_all(work: Work, sync: Sync) -> None:
    failed = list[JobFailed]()
    for entity, reading in readings_of(sync.service).items():
        try:
            _Pass(work, sync, entity, reading).go()
        except JobFailed as error:
            failed.append(error)
            if error.failure not in GOES_ON:
                break
    if failed:
        raise failed[0]


class _Pass:
    """One kind of record, from its cursor to the end."""

    def __init__(self, work: Work, sync: Sync, entity: str, reading: Reading) -> None:
        self.work, self.sync, self.entity, self.reading = work, sync, entity, reading
        SyncCursor.objects.get_or_create(sync=sync, entity=entity)

    def go(self) -> None:
        """Read page after page until the last."""
        while not self._is_over(cursor := SyncCursor.objects.get(sync=self.sync, entity=self.entity)):
            page = self._page(cursor.position or self._begun(cursor))
            try:
                self._write(cursor, page)
            except BegunElsewhere:
                self.work.say(_("%(entity)s: begun elsewhere by a person.") % {"entity": self.entity})
            except (EndpointPaused, MappingFailed, MostRejected, Invalid) as error:
                self._fail(FailureClass.CONFIG, type(error).__name__, str(error))

    def _is_over(self, cursor: SyncCursor) -> bool:
        """Say whether this run has read it whole: before a break, too, after which it goes on with the next kind."""
        return cursor.position is None and cursor.passed_by == self.work.run.pk

    def _begun(self, cursor: SyncCursor) -> Mapping[str, Any]:
        return self.reading.begin(cursor.watermark, self.sync.service.options, database_now())

    def _page(self, position: Mapping[str, Any]) -> Page:
        outcome = called(self.sync.service, partial(self._asked, position))
        if outcome.page is None:
            failure = outcome.failure_class or FailureClass.UNKNOWN
            self._fail(failure, str(failure), _sentence(self.sync, self.entity, outcome))
        assert outcome.page is not None  # noqa: S101 # `_fail` raises
        return outcome.page

    def _asked(self, position: Mapping[str, Any], site: Any) -> Any:
        return self.reading.page(site, position)

    def _write(self, cursor: SyncCursor, page: Page) -> None:
        """Write a page and where to read on, together."""
        with self.work.chunk() as counts:
            found = store(self.sync, self.entity, page.records)
            counts.update(found)
            self._move(cursor, page, found)
        if page.next is None:
            self._say_done()

    def _move(self, cursor: SyncCursor, page: Page, found: Counter[str]) -> None:
        begins = cursor.position is None
        counted = dict(found if begins else Counter(cursor.counts) + found)
        columns: dict[str, Any] = {"position": page.next, "counts": counted, "paged_at": Now()}
        if begins:
            columns["began_at"] = Now()
        if page.next is None:
            columns |= {"watermark": dict(page.watermark), "passed_at": Now(), "passed_by": self.work.run.pk}
            columns |= {"failed_at": None, "last_error": ""}
        if not SyncCursor.objects.filter(pk=cursor.pk, epoch=cursor.epoch).update(**columns):
            raise BegunElsewhere

    def _say_done(self) -> None:
        cursor = SyncCursor.objects.get(sync=self.sync, entity=self.entity)
        told = {name: cursor.counts.get(name, 0) for name in ("read", "created", "updated", "unchanged", "rejected")}
        words = _(
            "%(entity)s: %(read)s read, %(created)s new, %(updated)s changed, %(unchanged)s the same, %(rejected)s rejected."
        )
        self.work.say(words % {"entity": self.entity, **told})

    def _fail(self, failure: FailureClass, error_type: str, why: str) -> None:
        told = masked_text(why)[:4000]
        SyncCursor.objects.filter(sync=self.sync, entity=self.entity).update(failed_at=Now(), last_error=told)
        self.work.say(told, logging.ERROR)
        raise JobFailed(told, failure, error_type, self.sync.service.slug)


def _sentence(sync: Sync, entity: str, outcome: Outcome) -> str:
    told = {"entity": entity, "sync": sync, "service": sync.service, "why": outcome.message}
    if outcome.failure_class == FailureClass.CREDENTIAL:
        words = _("%(service)s refuses our user for %(sync)s: %(why)s Set a new one, probe it, and run the job again.")
    else:
        words = _("%(entity)s of %(service)s could not be read: %(why)s")
    return words % told
