"""Small jobs that keep the house."""

from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from apps.jobs.execution import Work

BATCH = 5000


def clear_sessions(work: Work) -> None:
    """Forget the sign-ins that are over, in batches."""
    over = Session.objects.filter(expire_date__lt=Now()).order_by("expire_date").values("pk")
    gone = BATCH
    while gone == BATCH:
        with work.chunk() as counts:
            gone, _by_kind = Session.objects.filter(pk__in=over[:BATCH]).delete()
            counts["deleted"] += gone
