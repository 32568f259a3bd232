"""A key's life in the browser: made and shown once, used, overdue, rotated; and the pages of whom we turned away."""

import datetime as dt
import re

import pytest
from django.contrib.auth.models import Group

from apps.actions.running import database_now
from apps.integrations import keys, refusals
from apps.integrations.models import ApiKey
from tests.api import Api
from tests.browser.conftest import Look, Screen, audit

LIST = "/admin/integrations/apikey/"
KEY = re.compile(r"ops_[\w-]{43}")
looks = pytest.mark.parametrize("look", [Look(), Look("dark", "pt-br"), Look(width=390)], ids=str)


@pytest.fixture
def used() -> ApiKey:
    """A key that is past its day and was used from two addresses."""
    key, plain = keys.make("The site", Group.objects.get(name="Operator"), scopes=["pending-operations:add", "*:view"])
    ApiKey.objects.filter(pk=key.pk).update(due_at=database_now() - dt.timedelta(days=3))
    for address in ("10.1.2.3", "192.0.2.7"):
        keys.find(plain, address)
    return key


@looks
def test_a_key_is_made_and_shown_once(screen: Screen) -> None:
    page = screen.open(f"{LIST}add/")
    audit(screen)
    page.locator("#id_name").fill("Monitor")
    page.locator("#id_group").select_option(label="Viewer")
    page.locator("#id_scopes").fill("*:view")
    screen.follow(page.locator("button[name=_save]"))
    (plain,) = KEY.findall(page.content())
    audit(screen)
    assert Api(plain).get("/api/me").json()["scopes"] == ["*:view"]
    page.goto(screen.base + LIST)
    assert not KEY.findall(page.content())


@looks
def test_a_key_is_rotated_where_its_users_are_seen(screen: Screen, used: ApiKey) -> None:
    page = screen.open(f"{LIST}{used.pk}/change/")
    assert page.get_by_text("192.0.2.7").count()
    audit(screen)
    screen.open(f"{LIST}verbs/rotate/?id={used.pk}")
    audit(screen)
    screen.follow(page.locator("button[name=confirm]"))
    (plain,) = KEY.findall(page.content())
    assert keys.find(plain) == ApiKey.objects.get(replaces=used)


@looks
def test_the_keys_the_limits_and_the_refused_are_readable(screen: Screen, used: ApiKey) -> None:
    refusals.note("invalid_key", address="203.0.113.9", who="ops_abcd…", where="GET /api/pending-operations")
    for path in (
        LIST,
        f"{LIST}verbs/revoke/?id={used.pk}",
        "/admin/integrations/accessrefusal/",
        "/admin/integrations/ratelimit/",
    ):
        screen.open(path)
        audit(screen)
