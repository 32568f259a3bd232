"""What every request passes through."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

Respond = Callable[[HttpRequest], HttpResponse]


def operations_time_zone(get_response: Respond) -> Respond:
    """Show every time in the zone that staff live in (`OPS_TIME_ZONE`); rows stay in UTC."""

    def respond(request: HttpRequest) -> HttpResponse:
        with timezone.override(ZoneInfo(settings.OPS_TIME_ZONE)):
            return get_response(request)

    return respond
