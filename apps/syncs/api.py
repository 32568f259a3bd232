"""The API of syncs: what every noun has, and "sync from a date again"."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Router

from apps.actions.api import actor_of, found, routes
from apps.actions.permissions import require
from apps.actions.running import run
from apps.actions.selections import Selection
from apps.actions.tasks import wake_after
from apps.actions.verbs import Invalid
from apps.syncs.models import Sync
from apps.syncs.resyncing import day_of, foreseen
from apps.syncs.schemas import ReadAgain, ResyncAsked, Resynced, SyncDetail, SyncRow

router = Router()


@router.post("/{id}/resync", response=Resynced, summary="Sync from a date again", operation_id="resync_sync_one")
def resync(request: HttpRequest, id: str, body: ResyncAsked) -> Any:
    """Read again, now, what changed since the beginning of a day; with `dry_run` only say what that would be."""
    actor = actor_of(request)
    require(actor, Sync.resync)
    row, since = found(Sync, id, actor), day_of(body.since)
    if since is None:
        raise Invalid(_("since takes a day that has come, such as 2026-01-31."), errors={"since": [_("no such day")]})
    records = [ReadAgain(entity=one.entity, known=one.known, position=one.position) for one in foreseen(row, since)]
    if body.dry_run:
        return Resynced(message=_("Nothing was done."), action_run=None, records=records)
    given = {"since": body.since, "reason": body.reason}
    record = run(Sync.resync, Selection.ticked(Sync, [row.pk]), actor, given=given)
    wake_after(record)
    return Resynced(message=_("It is read again from %(since)s on.") % given, action_run=record.pk, records=records)


routes(Sync, SyncRow, router, detail=SyncDetail)
