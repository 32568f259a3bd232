"""API keys: made once, shown once, known afterwards by a keyed hash only (S12)."""

import datetime as dt
import hashlib
import hmac
import secrets

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from apps.integrations.models import ApiKey

MARK = "ops_"
"""What every key begins with, so that one left lying about is known for what it is."""
NOTED_EVERY = dt.timedelta(minutes=1)


def make(name: str, group: Group) -> tuple[ApiKey, str]:
    """Make a key that acts with a group's permissions; return its row and the text, which nobody can read again."""
    plain = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(name=name, prefix=plain[:8], digest=digest(plain), group=group)
    return key, plain


def digest(plain: str) -> str:
    """Return what is stored of a key. A dump of the table opens nothing without the pepper."""
    return hmac.new(settings.API_KEY_PEPPER.encode(), plain.encode(errors="replace"), hashlib.sha256).hexdigest()


def find(plain: str) -> ApiKey | None:
    """Return the active key for a text, and note that it was used, at most once a minute."""
    sought = digest(plain)
    stale = ExpressionWrapper(Q(last_used_at=None) | Q(last_used_at__lt=Now() - NOTED_EVERY), BooleanField())
    key = ApiKey.objects.filter(digest=sought, status=ApiKey.Status.ACTIVE).annotate(stale=stale).first()
    if key is None or not hmac.compare_digest(key.digest.encode(), sought.encode()):
        return None
    if key.stale:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now())
    return key


def grants(key: ApiKey) -> frozenset[str]:
    """Return the permissions that a key acts with: its group's, as they are now."""
    found = Permission.objects.filter(group=key.group_id).values_list("content_type__app_label", "codename")
    return frozenset(f"{app}.{codename}" for app, codename in found)
