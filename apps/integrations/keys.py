"""API keys: made once, shown once, known afterwards by a keyed hash only (S12)."""

import datetime as dt
import hmac
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.actions.actors import Actor
from apps.actions.preparing import prepared_cursor
from apps.actions.running import database_now, step
from apps.actions.selections import plain as is_plain
from apps.actions.shown import show_once
from apps.actions.verbs import Invalid, Moved, NotPermitted
from apps.integrations import scopes as words
from apps.integrations.models import ApiKey, KeyUse
from apps.integrations.models.key import ROTATED_EVERY_DAYS

MARK = "ops_"
"""What every key begins with, so that one left lying about is known for what it is."""
LONGEST = 200
"""A text longer than that is no key of ours."""


READ = ("id", "name", "prefix", "digest", "group_id", "scopes", "status", "expires_at", "rotated_at", "revoked_at")
"""What a request reads of its key; the rest is read when it is asked for."""
FIND = f"""
SELECT {", ".join(f"key.{column}" for column in READ)},
       key.status = 'active' AND (key.expires_at IS NULL OR key.expires_at > statement_timestamp()) AS opens,
       key.ctid::text || ' ' || key.xmin AS version,
       EXISTS (SELECT FROM integrations_keyuse AS used
                WHERE used.key_id = key.id AND used.address = %s
                  AND used.at > statement_timestamp() - interval '1 minute') AS noted,
       (SELECT string_agg(given.permission_id::text, ' ' ORDER BY given.permission_id)
          FROM auth_group_permissions AS given WHERE given.group_id = key.group_id) AS given
  FROM integrations_apikey AS key WHERE key.digest = %s
"""  # noqa: S608 # names of ours
"""Everything that a request's key decides, in one statement: each request asks."""
STILL_SEALED = """
       EXISTS (SELECT FROM integrations_apikey AS key
                WHERE key.id = %s AND key.ctid = %s::tid AND key.xmin = %s::xid
                  AND (key.expires_at IS NULL OR key.expires_at > statement_timestamp()))
   AND EXISTS (SELECT FROM auth_group_permissions AS given WHERE given.group_id = %s AND given.permission_id = %s)
"""
"""Says whether a key is the row that was read, to the letter, and its group may still do what the seal is for."""
Seal = tuple[UUID, str, str, int, int]
"""What `STILL_SEALED` takes: of a key that is recalled, by a statement that writes only where it holds."""
RECALLED_SECONDS, RECALLED_AT_MOST = 10.0, 1_000
"""So long, and so many, open keys are recalled by those who seal what they do."""
NAMES_KEPT_SECONDS = 60.0
"""So long a process goes by the names of permissions; who has which is read at each request."""


def make(
    name: str,
    group: Group,
    *,
    scopes: Sequence[str] = (),
    expires_at: dt.datetime | None = None,
    rotation_days: int = ROTATED_EVERY_DAYS,
    replaces: ApiKey | None = None,
    plain: str = "",
) -> tuple[ApiKey, str]:
    """Make a key that acts with a group's permissions; return its row and the text, which nobody can read again.

    Raises `Invalid` where the name is empty or too long, a scope is not known or gives nothing, or the end is past.
    """
    name, now = name.strip(), database_now()
    if not (1 <= len(name) <= 120 and is_plain(name)):
        raise Invalid(_("A key's name takes 1 to 120 characters."))
    if expires_at is not None and expires_at <= now:
        raise Invalid(_("The key would be expired when it is made: give a moment in the future."))
    plain = plain or MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name,
        prefix=plain[:8],
        digest=digest(plain),
        group=group,
        scopes=list(scopes) if replaces else words.checked(scopes, of_group(group), group.name),
        expires_at=expires_at,
        lifetime=expires_at - now if expires_at else None,
        rotation_days=rotation_days,
        due_at=now + dt.timedelta(days=rotation_days),
        replaces=replaces,
    )
    return key, plain


def succeed(moved: Moved) -> None:
    """Make the successors of rotated keys, and show them."""
    for old in moved.rows.select_related("group"):
        key, plain = make(
            old.name,
            old.group,
            scopes=old.scopes,
            expires_at=database_now() + old.lifetime if old.lifetime else None,
            rotation_days=old.rotation_days,
            replaces=old,
        )
        show_once(_("Successor of %(old)s: %(key)s, id %(id)s") % {"old": old, "key": key, "id": key.pk}, plain)


def require_no_more(rows: "QuerySet[ApiKey]", actor: Actor) -> None:
    """Raise `NotPermitted` where the actor would get hold of a key that may do what the actor may not."""
    for key in rows.select_related("group"):
        require_grantable(key.group, key.scopes, actor)


def require_grantable(group: Group, scopes: Sequence[str], actor: Actor) -> None:
    """Raise `NotPermitted` where a key of this group and these scopes might do what the actor may not."""
    given = words.let_through(scopes, of_group(group))
    lacking = sorted(permission for permission in given if not actor.may(permission))
    if lacking:
        raise NotPermitted(
            _("A key of the group %(group)s may do what %(actor)s may not: %(permission)s. Ask a superuser.")
            % {"group": group, "actor": actor.name, "permission": lacking[0]},
            code="not_permitted",
        )


def digest(plain: str) -> str:
    """Return what is stored of a key. A dump of the table opens nothing without the pepper."""
    begun = _peppered(settings.API_KEY_PEPPER).copy()
    begun.update(plain.encode(errors="replace"))
    return begun.hexdigest()


@lru_cache
def _peppered(pepper: str) -> hmac.HMAC:
    """Return a digest that has begun: to set one up takes OpenSSL 20 µs, in every request."""
    return hmac.new(pepper.encode(), digestmod="sha256")


def find(plain: str, address: str = "") -> Any:
    """Return the key for a text, open or not (`opens` says it), or None; note the use of an open one once a minute."""
    if not plain or len(plain) > LONGEST:
        return None
    sought = digest(plain)
    key = _read(sought, address)
    if key is None or not hmac.compare_digest(key.digest.encode(), sought.encode()):
        return None
    if key.opens and not key.noted:
        _note(key, address)  # a row of another version from here on
    _keep(key, sought, address, key.opens and key.noted)
    return key


def _keep(key: Any, sought: str, address: str, recallable: bool) -> None:
    if len(_recalled) >= RECALLED_AT_MOST:
        _recalled.clear()
    if recallable:
        _recalled[sought, address] = key, time.monotonic() + RECALLED_SECONDS
    else:
        _recalled.pop((sought, address), None)


def recall(sought: str, address: str) -> Any:
    """Return the open key of a digest as it was found a moment ago, or None.

    It may be closed by now: whoever goes by it seals what they write (`seal_of`), and finds it anew before they refuse.
    """
    key, until = _recalled.get((sought, address), (None, 0.0))
    return key if time.monotonic() < until else None


def seal_of(key: Any, app: str, codename: str) -> Seal | None:
    """Return what shows, in the statement that writes, that a key still has a permission; None where there is none like it."""
    permission = _number(app, codename, time.monotonic() // NAMES_KEPT_SECONDS)
    place, made_by = key.version.split()
    return (key.pk, place, made_by, key.group_id, permission) if permission else None


@lru_cache(maxsize=64)
def _number(app: str, codename: str, _until: float) -> int | None:
    found = Permission.objects.filter(content_type__app_label=app, codename=codename).values_list("pk", flat=True)
    return found.first()


_recalled: dict[tuple[str, str], tuple[Any, float]] = {}


def _read(sought: str, address: str) -> Any:
    """Return the row of a key, with whether it opens, whether this use is noted, and its group's permissions, by their ids."""
    with prepared_cursor() as cursor:
        cursor.execute(FIND, [address, sought])
        row = cursor.fetchone()
    if row is None:
        return None
    key: Any = ApiKey.from_db(connection.alias, READ, row[: len(READ)])
    key.opens, key.version, key.noted, key.given = row[len(READ) :]
    return key


def why_closed(key: ApiKey) -> str:
    """Say why a key opens nothing. Whoever asks holds the key itself."""
    if key.rotated_at:
        return _("Invalid API key: it was rotated, and its time beside its successor is over.")
    if key.status == ApiKey.Status.REVOKED and (key.expires_at is None or key.revoked_at != key.expires_at):
        return _("Invalid API key: it was revoked.")
    return _("Invalid API key: it has expired.")


def grants(key: Any) -> frozenset[str]:
    """Return the permissions that a key was found with: its group's, as far as its scopes let them through."""
    return words.let_through(key.scopes, _named(key.given or "", time.monotonic() // NAMES_KEPT_SECONDS))


@lru_cache(maxsize=64)
def _named(ids: str, _until: float) -> frozenset[str]:
    """Return the names of permissions by their ids."""
    found = Permission.objects.filter(pk__in=ids.split()).values_list("content_type__app_label", "codename")
    return frozenset(f"{app}.{codename}" for app, codename in found)


def of_group(group: Group | int) -> frozenset[str]:
    """Return the permissions of a group."""
    found = Permission.objects.filter(group=group).values_list("content_type__app_label", "codename")
    return frozenset(f"{app}.{codename}" for app, codename in found)


def close_lapsed() -> None:
    """Write down which keys' time is over."""
    over = ApiKey.objects.filter(expires_at__lte=Now())
    step(ApiKey.lapse, over.filter(rotated_at=None), reason="expired")
    step(ApiKey.lapse, over.filter(rotated_at__isnull=False), reason="rotated")


def overdue() -> "QuerySet[ApiKey]":
    """Return the open keys that should have been rotated by now, the oldest first (S1-88)."""
    return ApiKey.objects.filter(_opens(), rotated_at=None, due_at__lte=Now()).order_by("due_at")


def _opens() -> "ExpressionWrapper[Any]":
    endless = Q(expires_at=None) | Q(expires_at__gt=Now())
    return ExpressionWrapper(Q(status=ApiKey.Status.ACTIVE) & endless, BooleanField())


def _note(key: ApiKey, address: str) -> None:
    use = KeyUse(key=key, address=address, at=Now())
    KeyUse.objects.bulk_create([use], update_conflicts=True, unique_fields=["key", "address"], update_fields=["at"])
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now(), last_used_from=address or None)
