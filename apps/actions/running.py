"""The only door to a verb: `run` and `preview`, for one row and for a million.

Up to a thousand rows move at once, in the request. More become a background run that a worker releases in batches;
each batch and the run's progress commit together, so a kill in between repeats nothing and loses nothing.
"""

import datetime as dt
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.module_loading import import_string
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from apps.actions import statements
from apps.actions.actors import Actor, spoken
from apps.actions.foresight import Foresight, foresight
from apps.actions.models import ActionItem, ActionRun, new_id
from apps.actions.permissions import require
from apps.actions.selections import Selection, plain
from apps.actions.shown import collecting
from apps.actions.verbs import (
    WRONG_STATE,
    Acted,
    FormVerb,
    Invalid,
    Move,
    NotFound,
    Refused,
    Step,
    Verb,
    form_verbs_of,
    kind_of,
    moves_of,
    nouns,
    verbs_of,
)

log = logging.getLogger(__name__)

IN_REQUEST = 1000
"""Up to so many rows move in the request; more go to the background."""
BATCH = 1000
"""Rows of one statement in the background: a tenth slower than one statement for all, and nobody else waits."""
REFUSED_KEPT = 1000
"""So many refused rows are listed one by one; the others are counted by sentence."""
BUSY = "busy"
"""The code of a refusal that another try, a moment later, may well not meet."""
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
    foresight: Foresight


def preview(verb: Verb, selection: Selection, actor: Actor, rate: float | None = None) -> Preview:
    """Say what `run` would do, by the same condition, and how long it takes at so many rows a second.

    Changes nothing; raises what `run` would raise.
    """
    require(actor, verb)
    _require_shown(verb, selection, actor)
    _all_there(selection, actor)
    rows = selection.rows(actor)
    moving, refused = _counted(verb, rows)
    if moving and verb.model.leads:
        moving, refused = _counted_by_leads(verb, rows, moving, refused)
    told = foresight(_moves(verb, rows), rate) if moving else Foresight()
    sample = list(movable(verb, rows).order_by("pk")[:5])
    sentences = [*effects(verb, rows), *told.effects]
    return Preview(moving + refused.total(), moving, refused.most_common(), sample, sentences, told)


def _moves(verb: Verb, rows: QuerySet[Any]) -> list[tuple[Move, QuerySet[Any]]]:
    """Return what would move by which verb: the rows themselves, or those that lead them."""
    legal: QuerySet[Any] = rows.annotate(refusal=verb.refusal()).filter(refusal=None)
    if not verb.model.leads:
        return [(verb, legal)]
    leads = statements.leads_of(verb, legal)
    return [(lead.verb, lead.rows.annotate(refusal=lead.verb.refusal()).filter(refusal=None)) for lead in leads]


def movable(verb: Verb, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows that a verb would move; of those that follow others, the ones that their leaders let go."""
    legal: QuerySet[Any] = rows.annotate(refusal=verb.refusal()).filter(refusal=None)
    if not verb.model.leads:
        return legal
    found: QuerySet[Any] = legal.none()
    for lead in statements.leads_of(verb, legal):
        may = lead.rows.annotate(refusal=lead.verb.refusal()).filter(refusal=None)
        found = found | legal.filter(**{f"{lead.by}__in": may.values("pk")})
    return found


def _counted_by_leads(verb: Verb, rows: QuerySet[Any], total: int, refused: Counter[str]) -> tuple[int, Counter[str]]:
    """Count rows that follow others by what leads them; those that nothing leads any more stay."""
    legal = rows.annotate(refusal=verb.refusal()).filter(refusal=None)
    moving, stays = 0, Counter[str]()
    for lead in statements.leads_of(verb, legal):
        led, led_refused = _counted(lead.verb, lead.rows)
        moving, stays = moving + led, stays + led_refused
    orphans = Counter({statements.gone(): total - moving - stays.total()})
    return moving, refused + stays + orphans


def _counted(verb: Move, rows: QuerySet[Any]) -> tuple[int, Counter[str]]:
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
    verbs = {**verbs_of(model), **form_verbs_of(model)}
    rows = model._default_manager.filter(pk__in=ids)
    numbers = rows.annotate(**{f"refusal_{name}": verb.refusal() for name, verb in verbs.items()})
    told: dict[UUID, dict[str, str]] = {}
    for key, status, *found in numbers.values_list("pk", "status", *(f"refusal_{name}" for name in verbs)):
        pairs = zip(verbs.items(), found, strict=True)
        told[key] = {name: "" if number is None else verb.why_not(number, status) for (name, verb), number in pairs}
    if model.leads:
        _refused_by_leads(verbs, rows, told)
    return told


def _refused_by_leads(verbs: Mapping[str, Verb], rows: QuerySet[Any], told: dict[UUID, dict[str, str]]) -> None:
    for name, verb in verbs.items():
        legal = rows.filter(pk__in=[key for key, whys in told.items() if not whys[name]])
        for lead in statements.leads_of(verb, legal):
            followers = lead.followers
            if not followers:
                continue
            refused = lead.rows.annotate(refusal=lead.verb.refusal()).filter(refusal__isnull=False)
            for key, number, status in refused.values_list("pk", "refusal", "status"):
                told[followers[key]][name] = lead.verb.why_not(number, status)


def effects(verb: Verb, rows: QuerySet[Any]) -> list[str]:
    """Return the sentences a noun has to say about a verb before it runs (an open breaker in the way, …)."""
    told: Callable[[Verb, QuerySet[Any]], list[str]] | None = getattr(verb.model, "effects", None)
    return told(verb, rows) if told else []


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

    The same form sent twice, or an open run over the same filter, leads to the run that is there already.
    Raises `NotPermitted`, `NotFound` (a ticked row is not there), `Invalid` (what was given is not what the verb
    asks) and, where the one ticked row may not move, `Refused` with the sentence. A run of more than a thousand
    rows, or a paced one, comes back `queued`: a worker, or `pacing.drive`, releases it.
    """
    require(actor, verb)
    _require_shown(verb, selection, actor)
    answers = checked(verb, given or {}, actor)
    if verb.model is ActionRun:
        return retrying(lambda: _run_on_run(verb, selection, actor, answers))
    if idempotency_key and not (plain(idempotency_key) and len(idempotency_key) <= 200):
        raise Invalid(_("An idempotency key is plain text of up to 200 characters."))
    asked = _Asking(verb, selection, actor, answers, pace if verb.paced else None, idempotency_key or None)
    for attempt in range(3):
        known = _already(asked)
        if known is not None:
            return known
        try:
            record = retrying(lambda: _started(asked))
            tell(record, record.status)
            return record
        except IntegrityError:  # a double click: the other request was a moment faster, and is found above
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def tell(record: ActionRun, state: str) -> None:
    """Say in the log how a run stands."""
    words = "%s of %s by %s (%s) is %s: %s of %s rows moved, %s refused"
    who = (record.verb, record.kind, record.actor_name, record.door, state)
    said = {"kind": "actions.actionrun", "object_id": record.pk}
    log.info(words, *who, record.moved, record.total, record.refused, extra=said)


def _require_shown(verb: Verb, selection: Selection, actor: Actor) -> None:
    """Raise `NotPermitted` where the verb makes secrets that this actor may not see."""
    if verb.shows:
        import_string(verb.shows)(selection.rows(actor), actor)


@dataclass(frozen=True)
class _Asking:
    verb: Verb
    selection: Selection
    actor: Actor
    answers: dict[str, Any]
    pace: Pace | None
    key: str | None


def checked(verb: Verb, given: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """Return what the verb asks for, as text for the record; raise `Invalid` where it is missing or not asked for.

    An owner that is not named is the one who asks.
    """
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
    if "owner" in verb.asks:
        answers["owner"] = _owner(answers["owner"] or actor.name, actor)
    return answers


def _owner(name: str, actor: Actor) -> str:
    """Return the sign-in name of whoever is to see to the rows: somebody active, or the one who asks."""
    if name == actor.name:
        return name
    known = get_user_model().objects.filter(username__iexact=name, is_active=True).values_list("username", flat=True)
    found = known.first()
    if found is None:
        raise Invalid(
            _("Nobody active is called %(name)s here. Give a sign-in name, or leave it empty for yourself.")
            % {"name": name},
            code="unknown_owner",
        )
    return str(found)


def _answer(word: str, value: Any) -> Any:
    if word != "until":
        text = str(value or "").strip()
        if not plain(text) or len(text) > 2000:
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


def release(record: ActionRun, limit: int, moving: int | None = None) -> bool:
    """Move the next rows of a run and its progress in one transaction; say whether the selection is at its end.

    Looks at no more than `limit` rows, and stops where `moving` rows may move, however many are refused on the way.
    Raises `Lost` where the run is no longer ours: paused, cancelled, or taken by another worker.
    """
    rows = rows_behind(record, record.walked_to)
    last = None if moving is None else _nth_legal(verb_of(record), rows, moving)
    if last is not None:
        rows = rows.filter(pk__lte=last)
    with transaction.atomic(), override(record.language):
        looked_at = move_on(record, rows, limit)
        progress = keep_progress(record, looked_at)
    take_over(record, progress)
    return last is None and len(looked_at) < limit


def rows_behind(record: ActionRun, key: UUID | None) -> QuerySet[Any]:
    """Return the rows of a run's selection behind a key; all of them where there is none yet."""
    rows: QuerySet[Any] = Selection.from_record(model_of(record.kind), record.selection).rows()
    return rows if key is None else rows.filter(pk__gt=key)


def move_on(record: ActionRun, rows: QuerySet[Any], limit: int) -> list[statements.Row]:
    """Move rows of a run, and return all that were looked at; `keep_progress` writes how far it is, in the same transaction."""
    who: dict[str, Any] = {"run_id": record.pk, "actor_name": record.actor_name}
    return statements.move_any(verb_of(record), rows, limit=limit, given=record.given, **who)


def take_over(record: ActionRun, progress: Mapping[str, Any]) -> None:
    """Note what was written of a run, once it is committed: a batch that was rolled back is looked at again."""
    for name, value in progress.items():
        setattr(record, name, value)


def nth(rows: QuerySet[Any], count: int) -> UUID | None:
    """Return the key of the nth row in key order; None where there are fewer."""
    key: UUID | None = rows.order_by("pk").values_list("pk", flat=True)[count - 1 : count].first()
    return key


def _nth_legal(verb: Verb, rows: QuerySet[Any], count: int) -> UUID | None:
    return nth(rows.annotate(refusal=verb.refusal()).filter(refusal=None), count) if count > 0 else None


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


def is_watched(record: ActionRun) -> bool:
    """Say whether the rows that a run moved are watched as they settle; paced or not, its score is kept."""
    try:
        return verb_of(record).paced
    except (NotFound, AttributeError):  # the verb is no longer declared
        return False


@cache
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
    """Do the work again, up to three times, where two statements met head-on; what stays locked becomes a refusal."""
    for attempt in range(4):
        try:
            return work()
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            head_on = state in (DEADLOCK, SERIALIZATION)
            if head_on and attempt < 3 and not connection.in_atomic_block:
                time.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 # spreads two that collided
            elif head_on or state == LOCK_TIMEOUT:
                raise Refused(
                    _("Busy: somebody else is changing these rows. Try again in a moment."), code=BUSY
                ) from error
            else:
                raise
    raise AssertionError("unreachable")


def _already(asked: _Asking) -> ActionRun | None:
    """Return the run that this asking already has: the same form sent twice, or an open run over the same filter."""
    if asked.key:
        known = ActionRun.objects.filter(idempotency_key=asked.key, actor_name=asked.actor.name).first()
        if known is not None:
            return _same(known, asked)
    over = asked.selection.digest()
    runs = ActionRun.objects.filter(kind=kind_of(asked.verb.model), verb=asked.verb.name, status__in=ActionRun.OPEN)
    under_way = runs.filter(over=over).first() if over else None
    if under_way and isinstance(asked.verb, FormVerb) and under_way.given != asked.answers:
        raise Refused(
            _("%(verb)s is under way over the same rows, with something else: let it end, or cancel it first.")
            % {"verb": asked.verb.label},
            action_run=str(under_way.pk),
        )
    return under_way


def _same(known: ActionRun, asked: _Asking) -> ActionRun:
    """Return the run of a key, or refuse the key where it came with something else the first time."""
    this = asked.selection.as_record(known.created_at) | {"asked_at": None}
    that = known.selection | {"asked_at": None}
    verb = (kind_of(asked.verb.model), asked.verb.name)
    if (known.kind, known.verb, known.given, that) != (*verb, asked.answers, this):
        raise Invalid(
            _("This idempotency key was sent before with something else. Use a new one."), code="idempotency_key_reused"
        )
    return known


def _started(asked: _Asking) -> ActionRun:
    with transaction.atomic():
        record = _record(asked)
        if record.total > IN_REQUEST and asked.verb.shows:
            raise Invalid(
                _("%(verb)s shows what it makes once, so it takes at most %(most)s rows at a time.")
                % {"verb": asked.verb.label, "most": IN_REQUEST}
            )
        if record.total > IN_REQUEST or (record.paced and record.total > 1):
            record.save(force_insert=True)
            return record
        with collecting() as shown:
            done = _run_now(record, asked.verb)
        done.shown_once = tuple(shown)
        return done


def _record(asked: _Asking) -> ActionRun:
    selection, actor, pace = asked.selection, asked.actor, asked.pace
    return ActionRun(
        id=new_id(),
        verb=asked.verb.name,
        kind=kind_of(asked.verb.model),
        actor=actor.user,
        actor_name=actor.name,
        door=actor.door,
        given=asked.answers,
        selection=selection.as_record(database_now()),
        selection_words=selection.words(),
        over=selection.digest(),
        idempotency_key=asked.key,
        language=get_language() or settings.LANGUAGE_CODE,
        total=_all_there(selection, actor) or selection.rows(actor).count(),
        paced=pace is not None,
        rate_per_second=pace.rate if pace else None,
        stop_share=pace.stop_share if pace else 1,
        stage=0 if pace and pace.canary else 2,
    )


def _all_there(selection: Selection, actor: Actor) -> int:
    """Return how many rows are ticked; `NotFound` where one is not there, or is not theirs to see: nobody learns which."""
    if selection.ids is None:
        return 0
    missing = len(selection.ids) - selection.rows(actor).count()
    if missing:
        raise NotFound(
            _("%(missing)s of %(asked)s rows are not there.") % {"missing": missing, "asked": len(selection.ids)},
            code="not_found",
        )
    return len(selection.ids)


def _run_now(record: ActionRun, verb: Verb) -> ActionRun:
    record.status = ActionRun.Status.RUNNING
    record.save(force_insert=True)
    ActionRun.objects.filter(pk=record.pk).update(started_at=Now(), released_at=Now())
    while not release(record, IN_REQUEST):  # rows may have come into the selection since they were counted
        pass
    if "ids" in record.selection and record.total == 1 and not record.moved:
        raise _refusal(record)
    advance_to(record, ActionRun.watch if verb.paced and record.moved else ActionRun.settle)
    record.refresh_from_db()
    return record


def _refusal(record: ActionRun) -> Refused:
    refused = record.refused_rows[0] if record.refused_rows else {"id": "", "why": _("It moved just now.")}
    return Refused(refused["why"], code="wrong_state", id=refused["id"])


def keep_progress(record: ActionRun, looked_at: list[statements.Row]) -> dict[str, Any]:
    """Write how far the run is, and return it; raise `Lost` where the run is in other hands by now."""
    verb = verb_of(record)
    refused = [row for row in looked_at if row.refusal is not None]
    counts = Counter(record.refusals)
    counts.update(_why(verb, row) for row in refused)
    progress = {
        "moved": record.moved + len(looked_at) - len(refused),
        "refused": record.refused + len(refused),
        "refusals": dict(counts),
        "refused_rows": record.refused_rows + _listed(verb, refused[: max(REFUSED_KEPT - len(record.refused_rows), 0)]),
        "walked_to": looked_at[-1].id if looked_at else record.walked_to,
        "crashes": 0,
    }
    ours = ActionRun.objects.filter(pk=record.pk, token=record.token, status=ActionRun.Status.RUNNING)
    if not ours.update(**progress, updated_at=Now()):
        raise Lost
    return progress


def _listed(verb: Verb, refused: list[statements.Row]) -> list[dict[str, str]]:
    """Return the refused rows by id with their full sentence: what it is, what was needed, who was there before."""
    if not refused:
        return []
    named = verb.model._default_manager.in_bulk([row.id for row in refused])
    last = _last_acts(verb.model, [row.id for row in refused])
    return [
        {"id": str(row.id), "why": sentence(str(named[row.id]), _why(verb, row), last.get(row.id, ""))}
        for row in refused
        if row.id in named
    ]


def _why(verb: Verb, row: statements.Row) -> str:
    return row.refusal if isinstance(row.refusal, str) else verb.why_not(row.refusal or WRONG_STATE, row.status)


def sentence(name: str, why: str, last: str = "") -> str:
    """Return a refusal in full: "deal.create 9c3f2a71 is completed (retry by Ana at 14:02); retry needs failed."."""
    state, semicolon, needed = why.partition(";")
    if not semicolon:
        return _("%(name)s: %(why)s%(last)s.") % {"name": name, "why": why, "last": last}
    return _("%(name)s is %(state)s%(last)s;%(needed)s.") % {
        "name": name,
        "state": state,
        "last": last,
        "needed": needed,
    }


def _last_acts(model: type[Acted], ids: list[UUID]) -> dict[UUID, str]:
    """Return, in brackets, the last thing a person did to each row: two who act at once learn of each other."""
    newest = ActionItem.objects.filter(object_id__in=ids, run__isnull=False).values("object_id").annotate(id=Max("id"))
    items = ActionItem.objects.filter(pk__in=[row["id"] for row in newest])
    return {item.object_id: _act(model, item) for item in items}


def _act(model: type[Acted], item: ActionItem) -> str:
    move = moves_of(model).get(item.verb)
    at = item.created_at.astimezone(ZoneInfo(settings.OPS_TIME_ZONE))
    today = database_now() - item.created_at < dt.timedelta(hours=12)
    return _(" (%(verb)s by %(actor)s at %(at)s)") % {
        "verb": str(move.label).lower() if move else item.verb,
        "actor": spoken(item.actor_name),
        "at": date_format(at, "H:i" if today else "d M Y, H:i"),
    }


def _run_on_run(verb: Verb, selection: Selection, actor: Actor, answers: dict[str, Any]) -> ActionRun:
    """Pause, resume or cancel a run: recorded as an item of the run itself, for there is no run of a run."""
    if selection.ids is None or len(selection.ids) != 1:
        raise Invalid(_("%(verb)s takes one action run at a time.") % {"verb": verb.label})
    _all_there(selection, actor)
    told: dict[str, Any] = {"given": answers, "run_id": selection.ids[0], "actor_name": actor.name}
    with transaction.atomic():
        (row,) = statements.move(verb, selection.rows(actor), limit=1, **told)
        record: ActionRun = ActionRun.objects.get(pk=row.id)
        if row.refusal is not None:
            raise Refused(sentence(str(record), _why(verb, row)), code="wrong_state", id=str(row.id))
    return record
