"""What may leave: the policies' rows, and for each of them the condition that a purge, a dry run and a countdown go by."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import OperationalError, connection, models, transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast
from django.utils.formats import date_format, number_format
from django.utils.module_loading import import_string
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from apps.actions.foresight import Foresight
from apps.actions.models import ActionItem, ActionRun
from apps.actions.running import database_now
from apps.actions.verbs import Acted, Move, Moved, Refused, kind_of
from apps.deadletters.models import DeadLetter
from apps.jobs.catalogue import KEPT, Kept
from apps.jobs.models import Job, JobRun, RetentionPolicy
from apps.jobs.scheduling import ask

CLEANUP = "cleanup"
"""The job that purges."""
FORESEEN_AT_MOST = 20
"""So many policies are told of one by one."""

SKEW = dt.timedelta(hours=1)
"""By so much the clock of a process that makes keys may be behind the database's."""
KNOWN_SECONDS = 2.0
"""So long a process goes by the policies it has read, where it only shows when a row leaves."""


@cache
def catalogue() -> dict[str, Kept]:
    """Return what the code knows of each policy, by slug."""
    return {kept.slug: kept for kept in KEPT}


def known(policy: RetentionPolicy) -> Kept:
    """Return what the code knows of a policy; of one that an older version made, that nothing of it goes."""
    return catalogue().get(policy.slug) or Kept(
        policy.slug, policy.slug, "jobs.RetentionPolicy", "created_at", policy.days, ""
    )


def make_missing() -> int:
    """Make the policies that are not there yet; what staff changed stays. Return how many."""
    known = set(RetentionPolicy.objects.values_list("slug", flat=True))
    missing = [
        RetentionPolicy(slug=kept.slug, days=kept.days, archives=kept.archives)
        for kept in KEPT
        if kept.slug not in known
    ]
    return len(RetentionPolicy.objects.bulk_create(missing, ignore_conflicts=True))


def days_of(policy: RetentionPolicy) -> int:
    """Return for how many days a policy's rows are kept: as the environment says, where it does (S3-41)."""
    return told_by_environment(policy.slug) or policy.days


def told_by_environment(slug: str) -> int | None:
    """Return the days that an environment name sets for a policy; None where none does."""
    kept = catalogue().get(slug)
    return getattr(settings, kept.environment, None) if kept and kept.environment else None


# Which rows may go


def model_of(kept: Kept) -> Any:
    """Return the model that a policy is about."""
    return apps.get_model(kept.model)


def aged(kept: Kept, before: dt.datetime) -> QuerySet[Any]:
    """Return the rows that may go: old enough, of the kind that goes, and needed by nothing that stays."""
    return needless(kept).filter(**{f"{kept.aged}__lt": before})


def needless(kept: Kept) -> QuerySet[Any]:
    """Return the rows that may go once they are old enough."""
    model = model_of(kept)
    rows: QuerySet[Any] = model._base_manager.filter(kept.goes)
    for needed in _needed(model):
        rows = rows.filter(~needed)
    if kept.spares:
        spare: Callable[[QuerySet[Any]], QuerySet[Any]] = import_string(kept.spares)
        rows = spare(rows)
    return rows


def _needed(model: type[models.Model]) -> Iterator[Exists]:
    """Yield what keeps a row, however old it is."""
    if issubclass(model, Acted) and model is not ActionRun:
        yield _under_action(model)
    if issubclass(model, Acted) and model is not DeadLetter:
        letters = DeadLetter.objects.filter(source_kind=kind_of(model), source_id=OuterRef("pk"))
        yield Exists(letters.filter(status__in=DeadLetter.OPEN))
    for relation in relations(model):
        pointing = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        if waits_for(relation):
            yield Exists(pointing)
        elif relation.on_delete is models.SET_NULL and _has_policy(relation):
            yield Exists(pointing.exclude(_may_go(relation.related_model)))


def _under_action(model: type[models.Model]) -> Exists:
    """What an action run that has not ended moved, and watches or may yet come back to."""
    ended = (ActionRun.Status.FINISHED, ActionRun.Status.CANCELLED)
    items = ActionItem.objects.filter(object_id=OuterRef("pk"), run__isnull=False)
    return Exists(items.exclude(run__status__in=ended))


def relations(model: type[models.Model]) -> list[Any]:
    """Return the foreign keys that point to a model's rows, and that somebody has to look after when these go."""
    fields = model._meta.get_fields(include_hidden=True)  # most of ours have no name on this side
    pointing = [each for each in fields if isinstance(each, ForeignObjectRel) and not each.many_to_many]
    return [each for each in pointing if each.on_delete is not models.DO_NOTHING]


def waits_for(relation: Any) -> bool:
    """Say whether a row stays as long as others point to it: these are protected, or leave by a policy of their own."""
    return relation.on_delete is models.PROTECT or (relation.on_delete is models.CASCADE and _has_policy(relation))


def _has_policy(relation: Any) -> bool:
    return any(kept.model == relation.related_model._meta.label for kept in KEPT)


def _may_go(model: type[models.Model]) -> Q:
    """Return what rows of a model may go, by any of its policies."""
    found = Q()
    for kept in KEPT:
        if kept.model == model._meta.label:
            found |= kept.goes
    return found


def born_before(kept: Kept, rows: QuerySet[Any], before: dt.datetime) -> QuerySet[Any]:
    """Leave out what was made too late to be old enough, where the key tells when: so a walk has an end."""
    if isinstance(rows.model._meta.pk, models.UUIDField) and kept.by_key:
        return rows.filter(pk__lt=key_at(before + SKEW))
    return rows


def key_at(moment: dt.datetime) -> UUID:
    """Return the smallest key that could be made at a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


# What people see of it beforehand


@dataclass(frozen=True)
class Going:
    """What would go: how many (`at_least` so many, where the time was up), since when the oldest, and a few of them."""

    count: int
    at_least: bool
    sample: list[Any]


DRY_RUN_SECONDS = 2.0
OLDEST_MS = 500
LOOKED_AT = 20_000
SHOWN = 5


def going(kept: Kept, before: dt.datetime, seconds: float = DRY_RUN_SECONDS) -> Going:
    """Count what a purge would take, for as long as the time allows. Changes nothing."""
    ends, rows = time.monotonic() + seconds, aged(kept, before)
    sample = list(rows.order_by("pk" if kept.by_key else kept.aged)[:SHOWN])
    if not kept.by_key:
        count = rows.order_by()[: LOOKED_AT + 1].count()
        return Going(min(count, LOOKED_AT), count > LOOKED_AT, sample)
    walk = Walk(kept, before)
    count = 0
    while time.monotonic() < ends:
        window = walk.ahead(LOOKED_AT)
        count += walk.rows(window, rows).count()
        if window.last:
            return Going(count, at_least=False, sample=sample)
        walk.after = window.end
    return Going(count, at_least=True, sample=sample)


@dataclass
class Walk:
    """How far somebody has come through the rows that may be old enough, by their key, in windows of so many rows.

    What a window holds bounds the work of a statement, however many of its rows stay.
    """

    kept: Kept
    before: dt.datetime
    after: Any = None

    def ahead(self, size: int) -> "Window":
        """Look where the next so many rows end."""
        model = model_of(self.kept)
        keys = born_before(self.kept, self._behind(model._base_manager.all()), self.before).order_by("pk")
        end = keys.values_list("pk", flat=True)[size - 1 : size].first()  # of the keys' index alone: not a row is read
        return Window(end, last=end is None or self._is_young(end))

    def _is_young(self, key: Any) -> bool:
        """Say of a key that is only a number, and tells no time, whether its row and all behind it are too young."""
        model = model_of(self.kept)
        young = model._base_manager.filter(pk=key, **{f"{self.kept.aged}__gte": self.before})
        return not isinstance(model._meta.pk, models.UUIDField) and young.exists()

    def rows(self, window: "Window", rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the rows that stand in a window."""
        within = born_before(self.kept, self._behind(rows), self.before)
        return within if window.end is None else within.filter(pk__lte=window.end)

    def _behind(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows if self.after is None else rows.filter(pk__gt=self.after)


@dataclass(frozen=True)
class Window:
    """The key at which a window ends (None: the end of all), and whether nothing behind it may be old enough."""

    end: Any
    last: bool


def oldest(slugs: Sequence[str]) -> dict[str, dt.datetime]:
    """Return since when the oldest row that a policy is about has its age; one query, and nothing where it takes too long."""
    asked = [_oldest(kept) for kept in KEPT if kept.slug in slugs]
    if not asked:
        return {}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {OLDEST_MS}")
            found = dict(asked[0].union(*asked[1:], all=True))
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            return found
    except OperationalError:
        return {}


def _oldest(kept: Kept) -> QuerySet[Any]:
    rows: QuerySet[Any] = model_of(kept)._base_manager.filter(kept.goes)
    named = rows.annotate(policy=Value(kept.slug), since=Cast(kept.aged, models.DateTimeField()))
    found: QuerySet[Any] = named.order_by("pk" if kept.by_key else kept.aged).values_list("policy", "since")[:1]
    return found


def leaving(row: Any) -> dt.datetime | None:
    """Return when retention takes an archived row away; None where it is not archived, or its policy is held."""
    told = _countdowns().get(row._meta.label) if row.archived_at else None
    return row.archived_at + told if told else None


_known: dict[str, dt.timedelta] = {}
_known_until = 0.0


def _countdowns() -> dict[str, dt.timedelta]:
    """Return how long archived rows of each model stay, as read a moment ago: a page of rows asks once."""
    global _known, _known_until
    if time.monotonic() >= _known_until:
        rows = RetentionPolicy.objects.filter(status=RetentionPolicy.Status.ACTIVE).in_bulk(field_name="slug")
        kept = [(each, rows[each.slug]) for each in KEPT if each.aged == "archived_at" and each.slug in rows]
        _known = {each.model: dt.timedelta(days=days_of(policy)) for each, policy in kept}
        _known_until = time.monotonic() + KNOWN_SECONDS
    return _known


def foreseen(verb: Move, rows: QuerySet[Any], rate: float | None) -> Foresight:
    """Say what a purge would take: the dry run, by the same condition (S1-94)."""
    if verb.name != RetentionPolicy.purge.name:
        return Foresight()
    policies = list(rows.order_by("slug")[:FORESEEN_AT_MOST])
    seconds, now = DRY_RUN_SECONDS / max(len(policies), 1), database_now()
    told = [_foreseen(policy, now, seconds) for policy in policies if policy.slug in catalogue()]
    return Foresight(
        about=[sentence for sentences in told for sentence in sentences],
        effects=[_("What is deleted cannot be brought back, except from an archive.")],
    )


def _foreseen(policy: RetentionPolicy, now: dt.datetime, seconds: float) -> list[str]:
    kept, before = catalogue()[policy.slug], now - dt.timedelta(days=days_of(policy))
    found = going(kept, before, seconds)
    words = _("%(what)s: at least %(count)s would go") if found.at_least else _("%(what)s: %(count)s would go")
    told = {"what": kept.what, "count": number_format(found.count, force_grouping=True)}
    rows = [_("such as %(row)s, %(day)s") % {"row": row, "day": _day(getattr(row, kept.aged))} for row in found.sample]
    return [words % told, *rows]


def _day(moment: dt.date) -> str:
    return date_format(localtime(moment) if isinstance(moment, dt.datetime) else moment, "SHORT_DATE_FORMAT")


# What people ask for


def asked(moved: Moved) -> None:
    """Queue a run that purges the rows of these policies now."""
    slugs = list(moved.rows.order_by("slug").values_list("slug", flat=True))
    queue({"policies": slugs}, moved.actor_name)


def queue(given: dict[str, Any], who: str) -> JobRun:
    """Queue a run of the clean-up, off schedule. Raises `Refused` where the job is paused."""
    job = Job.objects.get(slug=CLEANUP)
    if job.status != Job.Status.ACTIVE:
        raise Refused(_("The job %(job)s is paused: %(reason)s") % {"job": job, "reason": job.paused_reason})
    return ask(job, [None], who, given)[0]


def but_the_last_success(runs: QuerySet[JobRun]) -> QuerySet[JobRun]:
    """Leave out the newest success of each job and tenant: it says when that was last done."""
    alike = JobRun.objects.filter(job=OuterRef("job"), status=JobRun.Status.SUCCEEDED, pk__gt=OuterRef("pk"))
    ours, nobodys = alike.filter(tenant=OuterRef("tenant")), alike.filter(tenant=None)
    later = Exists(ours) | (Q(tenant=None) & Exists(nobodys))
    return runs.filter(~Q(status=JobRun.Status.SUCCEEDED) | later)
