"""The doors in: `POST /webhook/<source>`, signed, and `POST /webhook/<source>/<secret>` for those that cannot sign.

The order is the same for all: raw body, size, proof, store and commit, wake-up, 2xx. Refusals are raised; the root
answers them as problem bodies (opsconsole/api.py).
"""

from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from apps.actions.models import new_id
from apps.actions.tasks import wake_once
from apps.integrations import arrivals, doors, inbox
from apps.integrations.arrivals import Request, WrongType
from apps.integrations.bodies import Unreadable
from apps.integrations.clients import client_address
from apps.integrations.doors import BadBody, NotReadHere, Visit
from apps.integrations.inbox import Came, Taken
from apps.integrations.models import SourceRefusal
from apps.integrations.tasks import process_events


@csrf_exempt  # it carries no session: its proof is its own
@require_POST
@sensitive_variables("secret")
def receive(request: HttpRequest, source: str, secret: str = "") -> HttpResponse:
    """Take in what a source sends: answered 2xx once it is stored, and a duplicate as one."""
    visited = doors.visit(source, client_address(request))
    doors.check_size(visited, int(request.META.get("CONTENT_LENGTH") or 0))
    told = Request.of(request.META, request.body)
    doors.check_size(visited, len(told.body))
    proof = doors.prove(visited, told.headers, told.body, secret)
    taken = _taken_in(visited, told, Came(proof, visited.address, told.content_type, inbox.kept_headers(told.headers)))
    transaction.on_commit(partial(wake_once, process_events))
    return _answer(taken)


def _taken_in(visited: Visit, request: Request, came: Came) -> list[Taken]:
    source = visited.source
    try:
        if arrivals.is_cloud_event(request):
            found = arrivals.cloud_events(request)
        else:
            found = [arrivals.webhook(source.scheme, source.places, request)]
    except WrongType as error:
        raise visited.refuse(NotReadHere(str(error), code="wrong_type"), SourceRefusal.Reason.WRONG_TYPE) from error
    except Unreadable as error:
        kept = inbox.take_in_unreadable(source, request.body, str(error), came, visited.now)
        raise BadBody(str(error), code="unreadable", id=str(kept.id)) from error
    arriving = {new_id(): arrival for arrival in found}
    taken = inbox.take_in_new({key: inbox.of_source(source, arrival) for key, arrival in arriving.items()}, came)
    return taken or inbox.take_in(
        [inbox.event_of(source, arrival, came, key, visited.now) for key, arrival in arriving.items()]
    )


def _answer(taken: list[Taken]) -> HttpResponse:
    """Answer as senders expect it (contracts §1.6); of a batch with every id."""
    told = {
        "status": "received",
        "id": str(taken[0].id),
        "duplicate": all(one.duplicate for one in taken),
    }
    more = {"ids": [str(one.id) for one in taken]} if len(taken) > 1 else {}
    return JsonResponse(told | more)
