"""The only door to a verb: `run` and `preview`, for one row and for a million.

Up to a thousand rows move at once, in the request. More become a background run that a worker releases in batches;
each batch and the run's progress commit together, so a kill in between repeats nothing and loses nothing.
"""

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Count, F, Max
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.actors import Actor
from apps.actions.models import ActionItem, ActionRun, new_id
from apps.actions.permissions import require
from apps.actions.selections import Selection
from apps.actions.verbs import (
    WRONG_STATE,
    Acted,
    Invalid,
    Move,
    NotFound,
    Refused,
    Step,
    Verb,
    kind_of,
    nouns,
    verbs_of,
)

IN_REQUEST = 1000
"""Up to so many rows move in the request; more go to the background."""
BATCH = 2000
"""Rows of one statement in the background: a tenth slower than one statement for all, and nobody else waits."""
REFUSED_KEPT = 1000
"""So many refused rows are listed one by one; the others are counted by sentence."""
DEADLOCK, SERIALIZATION, LOCK_TIMEOUT = "40P01", "40001", "55P03"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pace:
    """How a paced run releases its rows: `rate` rows a second (None: as the window allows), a canary first or not."""

    rate: float | None = None
    canary: bool = True
    stop_share: float = 0.2


@dataclass(frozen=True)
class Preview:
    """What a run would do: how many rows move, how many are refused and why, and a few of each."""

    total: int
    moving: int
    refused: list[tuple[str, int]]
    sample: list[Any]
    effects: list[str]


def preview(verb: Verb, selection: Selection, actor: Actor) -> Preview:
    """Say what `run` would do, by the same condition. Changes nothing; raises what `run` would raise."""
    require(actor, verb)
    rows = selection.rows(actor)
    moving, refused = _counted(verb, rows)
    if moving and verb.model.leads:
        moving = 0
        for lead in statements.leads_of(verb, rows.annotate(refusal=verb.refusal()).filter(refusal=None)):
            led, led_refused = _counted(lead.verb, lead.rows)
            moving, refused = moving + led, refused + led_refused
    sample = rows.annotate(refusal=verb.refusal()).filter(refusal=None).order_by("pk")[:5]
    return Preview(moving + refused.total(), moving, refused.most_common(), list(sample), effects(verb, selection))


def _counted(verb: Move, rows: Any) -> tuple[int, Counter[str]]:
    counted = rows.order_by().annotate(refusal=verb.refusal()).values_list("refusal", "status").annotate(Count("pk"))
    moving, refused = 0, Counter[str]()
    for refusal, status, count in counted:
        if refusal is None:
            moving += count
        else:
            refused[verb.why_not(refusal, status)] += count
    return moving, refused


def refusals(model: type[Acted], ids: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    """Say of each row why each verb would refuse it, by the condition that `run` uses; empty words: it may move."""
    verbs = verbs_of(model)
    rows = model._default_manager.filter(pk__in=ids)
    numbers = rows.annotate(**{f"refusal_{name}": verb.refusal() for name, verb in verbs.items()})
    told: dict[UUID, dict[str, str]] = {}
    for key, status, *found in numbers.values_list("pk", "status", *(f"refusal_{name}" for name in verbs)):
        pairs = zip(verbs.items(), found, strict=True)
        told[key] = {name: "" if number is None else verb.why_not(number, status) for (name, verb), number in pairs}
    if model.leads:
        _refused_by_leads(verbs, rows, told)
    return told


def _refused_by_leads(verbs: Mapping[str, Verb], rows: Any, told: dict[UUID, dict[str, str]]) -> None:
    for name, verb in verbs.items():
        legal = rows.filter(pk__in=[key for key, whys in told.items() if not whys[name]])
        for lead in statements.leads_of(verb, legal):
            refused = lead.rows.annotate(refusal=lead.verb.refusal()).filter(refusal__isnull=False)
            for key, number, status in refused.values_list("pk", "refusal", "status"):
                told[lead.followers[key]][name] = lead.verb.why_not(number, status)


def effects(verb: Verb, selection: Selection) -> list[str]:
    """Return the sentences a noun has to say about a verb before it runs (an open breaker in the way, …)."""
    told: Callable[[Verb, Any], list[str]] | None = getattr(verb.model, "effects", None)
    return told(verb, selection.rows()) if told else []


def run(
    verb: Verb,
    selection: Selection,
    actor: Actor,
    *,
    given: Mapping[str, Any] | None = None,
    pace: Pace | None = None,
    idempotency_key: str | None = None,
) -> ActionRun:
    """Run a verb on a selection and return the record of it.

    Raises `NotPermitted`, `NotFound` (a ticked row is not there), `Invalid` (what was given is not what the verb
    asks) and, where the one row asked for may not move, `Refused` with the sentence. A run of more than a thousand
    rows, or a paced one, comes back `queued`: a worker, or `drive`, releases it.
    """
    require(actor, verb)
    answers = checked(verb, given or {})
    if verb.model is ActionRun:
        return retrying(lambda: _run_on_run(verb, selection, actor))
    known = _already(verb, selection, actor, idempotency_key)
    if known is not None:
        return known
    record = _record(verb, selection, actor, answers, pace, idempotency_key)
    try:
        return _begin(record, verb)
    except IntegrityError:
        # A double click: the other request, with the same key, was a moment faster.
        known = _already(verb, selection, actor, idempotency_key)
        if known is None:
            raise
        return known


def checked(verb: Verb, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the verb asks for, as text for the record; raise `Invalid` where it is missing or not asked for."""
    unknown = set(given) - set(verb.asks) - {"note"}
    if unknown:
        raise Invalid(
            _("%(verb)s does not ask for %(words)s.") % {"verb": verb.label, "words": ", ".join(sorted(unknown))}
        )
    answers = {word: _answer(word, given.get(word)) for word in {*verb.asks, *given}}
    if "reason" in verb.asks and not answers["reason"]:
        raise Invalid(
            _("%(verb)s needs a reason. Say in a few words why.") % {"verb": verb.label}, code="reason_required"
        )
    return answers


def _answer(word: str, value: Any) -> Any:
    if word != "until":
        text = str(value or "").strip()
        if "\x00" in text or len(text) > 2000:
            raise Invalid(_("%(word)s takes up to 2,000 characters of plain text.") % {"word": word})
        return text
    if value in (None, ""):
        return None
    moment = value if isinstance(value, dt.datetime) else _moment(str(value))
    if moment is None or moment.tzinfo is None or moment <= database_now():
        raise Invalid(_("until takes a moment in the future, with its zone: 2026-01-31T18:00:00-03:00."))
    return moment.isoformat()


def _moment(text: str) -> dt.datetime | None:
    try:
        return parse_datetime(text)
    except ValueError:
        return None


def database_now() -> dt.datetime:
    """Return the moment on the database's clock, the only one that comparisons use."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        found: dt.datetime = cursor.fetchone()[0]
    return found


def release(record: ActionRun, limit: int) -> int:
    """Move the next rows of a run and its progress in one transaction; return how many rows were looked at.

    Raises `Lost` where the run is no longer ours: paused, cancelled, or taken by another worker.
    """
    verb = verb_of(record)
    rows = Selection.from_record(verb.model, record.selection).rows()
    if record.walked_to is not None:
        rows = rows.filter(pk__gt=record.walked_to)
    move = statements.move_led if verb.model.leads else statements.move
    with transaction.atomic():
        looked_at = move(verb, rows, limit=limit, given=record.given, run_id=record.pk, actor_name=record.actor_name)
        _progress(record, verb, looked_at)
    return len(looked_at)


class Lost(Exception):
    """The run is paused, cancelled or in another worker's hands: nothing of this batch was written."""


def advance_to(record: ActionRun, step: Step, **given: Any) -> bool:
    """Take a step on a run that this worker holds; say whether it still could."""
    with transaction.atomic():
        rows = ActionRun.objects.filter(pk=record.pk, token=record.token)
        moved = statements.move(step, rows, limit=1, given=given, run_id=record.pk, history=False)
    return any(row.refusal is None for row in moved)


def verb_of(record: ActionRun) -> Verb:
    """Return the verb that a run is a run of."""
    verb = getattr(model_of(record.kind), record.verb)
    assert isinstance(verb, Verb)  # noqa: S101 # only verbs are recorded
    return verb


def model_of(kind: str) -> type[Acted]:
    """Return the noun known by a kind; `NotFound` where there is none."""
    for model in nouns():
        if kind_of(model) == kind:
            return model
    raise NotFound(_("There is no noun %(kind)s.") % {"kind": kind})


def step(move: Move, rows: Any, *, limit: int = 1000, actor_name: str = "system", **given: Any) -> list[UUID]:
    """Take a step on rows that no worker leases (a breaker trips); leaves history items without a run."""

    def once() -> list[UUID]:
        with transaction.atomic():
            looked_at = statements.move(move, rows, limit=limit, given=given, actor_name=actor_name)
        return [row.id for row in looked_at if row.refusal is None]

    return retrying(once)


def retrying(work: Callable[[], Result]) -> Result:
    """Do the work again, up to three times, where two statements met head-on; a lock that stays becomes a refusal."""
    for attempt in range(4):
        try:
            return work()
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == LOCK_TIMEOUT:
                raise Refused(
                    _("Busy: somebody else is changing these rows. Try again in a moment."), code="busy"
                ) from error
            if state not in (DEADLOCK, SERIALIZATION) or attempt == 3 or connection.in_atomic_block:
                raise
            time.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 # spreads two that collided
    raise AssertionError("unreachable")


def _already(verb: Verb, selection: Selection, actor: Actor, key: str | None) -> ActionRun | None:
    """Return the run that this asking already has: the same form sent twice, or an open run over the same filter."""
    runs = ActionRun.objects.filter(kind=kind_of(verb.model), verb=verb.name)
    if key:
        return runs.filter(idempotency_key=key, actor_name=actor.name).first()
    if selection.ids is None:
        return runs.filter(status__in=ActionRun.OPEN, selection__filters=dict(selection.filters)).first()
    return None


def _record(
    verb: Verb, selection: Selection, actor: Actor, given: dict[str, Any], pace: Pace | None, key: str | None
) -> ActionRun:
    pace = pace if verb.paced else None
    return ActionRun(
        id=new_id(),
        verb=verb.name,
        kind=kind_of(verb.model),
        actor=actor.user,
        actor_name=actor.name,
        door=actor.door,
        given=given,
        selection=selection.as_record(database_now()),
        selection_words=selection.words(),
        idempotency_key=key or None,
        total=_count(selection, actor),
        paced=pace is not None,
        rate_per_second=pace.rate if pace else None,
        stop_share=pace.stop_share if pace else 1,
        stage=0 if pace and pace.canary else 2,
    )


def _count(selection: Selection, actor: Actor) -> int:
    found = selection.rows(actor).count()
    if selection.ids is not None and found < len(selection.ids):
        # One id that is not there, or is not theirs to see, refuses the whole: nobody learns which.
        raise NotFound(
            _("%(missing)s of %(asked)s rows are not there.")
            % {"missing": len(selection.ids) - found, "asked": len(selection.ids)},
            code="not_found",
        )
    return found


def _begin(record: ActionRun, verb: Verb) -> ActionRun:
    if record.total > IN_REQUEST or (record.paced and record.total > 1):
        record.save(force_insert=True)
        return record
    return retrying(lambda: _run_now(record, verb))


def _run_now(record: ActionRun, verb: Verb) -> ActionRun:
    with transaction.atomic():
        record.status = ActionRun.Status.RUNNING
        record.save(force_insert=True)
        ActionRun.objects.filter(pk=record.pk).update(started_at=Now(), released_at=Now())
        release(record, IN_REQUEST)
        record.refresh_from_db()
        if record.total == 1 and not record.moved:
            raise _refusal(record, verb)
        advance_to(record, ActionRun.watch if verb.paced and record.moved else ActionRun.settle)
    record.refresh_from_db()
    return record


def _refusal(record: ActionRun, verb: Verb) -> Refused:
    refused = record.refused_rows[0] if record.refused_rows else {"id": "", "why": _("It moved just now.")}
    return Refused(refused["why"], code="wrong_state", id=refused["id"])


def _progress(record: ActionRun, verb: Verb, looked_at: list[statements.Row]) -> None:
    refused = [row for row in looked_at if row.refusal is not None]
    counts = Counter(record.refusals)
    counts.update(_why(verb, row) for row in refused)
    rows = record.refused_rows + _listed(verb, refused[: max(REFUSED_KEPT - len(record.refused_rows), 0)])
    walked_to = looked_at[-1].id if looked_at else record.walked_to
    written = ActionRun.objects.filter(pk=record.pk, token=record.token, status=ActionRun.Status.RUNNING).update(
        moved=F("moved") + len(looked_at) - len(refused),
        refused=F("refused") + len(refused),
        refusals=dict(counts),
        refused_rows=rows,
        walked_to=walked_to,
        updated_at=Now(),
    )
    if not written:
        raise Lost
    record.walked_to, record.refusals, record.refused_rows = walked_to, dict(counts), rows
    record.moved += len(looked_at) - len(refused)


def _listed(verb: Verb, refused: list[statements.Row]) -> list[dict[str, str]]:
    """Return the refused rows by id with their full sentence: what it is, what was needed, who was there before."""
    named = verb.model._default_manager.in_bulk([row.id for row in refused])
    last = _last_acts([row.id for row in refused])
    return [
        {"id": str(row.id), "why": sentence(str(named[row.id]), _why(verb, row), last.get(row.id, ""))}
        for row in refused
        if row.id in named
    ]


def _why(verb: Verb, row: statements.Row) -> str:
    return row.refusal if isinstance(row.refusal, str) else verb.why_not(row.refusal or WRONG_STATE, row.status)


def sentence(name: str, why: str, last: str = "") -> str:
    """Return a refusal in full: "deal.create 9c3f2a71 is completed (Retry by Ana at 14:02); retry needs failed"."""
    state, semicolon, needed = why.partition(";")
    if not semicolon:
        return _("%(name)s: %(why)s.") % {"name": name, "why": why}
    return _("%(name)s is %(state)s%(last)s;%(needed)s.") % {
        "name": name,
        "state": state,
        "last": last,
        "needed": needed,
    }


def _last_acts(ids: list[UUID]) -> dict[UUID, str]:
    """Return, in brackets, the last thing a person did to each row: two who act at once learn of each other."""
    newest = ActionItem.objects.filter(object_id__in=ids, run__isnull=False).values("object_id").annotate(id=Max("id"))
    items = ActionItem.objects.filter(pk__in=[row["id"] for row in newest])
    return {item.object_id: f" ({item.verb}, {item.actor_name}, {item.created_at:%H:%M})" for item in items}


def _run_on_run(verb: Verb, selection: Selection, actor: Actor) -> ActionRun:
    """Pause, resume or cancel a run: recorded as an item of the run itself, for there is no run of a run."""
    if selection.ids is None or len(selection.ids) != 1:
        raise Invalid(_("%(verb)s takes one action run at a time.") % {"verb": verb.label})
    _count(selection, actor)
    with transaction.atomic():
        (row,) = statements.move(verb, selection.rows(actor), limit=1, run_id=selection.ids[0], actor_name=actor.name)
        record: ActionRun = ActionRun.objects.get(pk=row.id)
        if row.refusal is not None:
            raise Refused(sentence(str(record), _why(verb, row)), code="wrong_state", id=str(row.id))
    return record
