"""A key that hands in event after event is recalled; whatever has changed about it holds from the next event on."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from apps.actions.running import run
from apps.actions.selections import Selection
from apps.integrations import keys
from apps.integrations.models import ApiKey, EventSource, IntegrationEvent
from tests.api import Api, problem
from tests.cast import ROOT
from tests.integrations.events import source

pytestmark = pytest.mark.django_db
EVENT = {"source_system": "site", "event_type": "lead.created"}


@pytest.fixture
def site(db: None) -> EventSource:
    return source(scheme="key")


@pytest.fixture
def key(site: EventSource) -> ApiKey:
    return keys.make("crm", Group.objects.get(name="Operator"), plain=PLAIN)[0]


@pytest.fixture
def crm(key: ApiKey) -> Api:
    """A system whose key was shown twice: once to note its use, and once to be recalled."""
    api = Api(PLAIN)
    assert [sent(api).status_code for _time in range(2)] == [202, 202]
    return api


PLAIN = f"{keys.MARK}recalled"


def sent(api: Api, **more: Any) -> Any:
    return api.send("/api/events", EVENT | more)


def test_one_statement_proves_the_key_and_stores_the_event(crm: Api) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert sent(crm).status_code == 202
    assert [
        "integrations_apikey" in each["sql"] for each in asked if "integrations_integrationevent" in each["sql"]
    ] == [True]
    assert not [each["sql"] for each in asked if "digest" in each["sql"]]


def revoke(key: ApiKey) -> None:
    run(ApiKey.revoke, Selection.ticked(ApiKey, [key.pk]), ROOT, given={"reason": "left about"})


def expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=Now())


def delete(key: ApiKey) -> None:
    key.delete()


def narrow(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(scopes=["pending-operations:add"])


def withdraw(key: ApiKey) -> None:
    key.group.permissions.remove(Permission.objects.get(codename="add_integrationevent"))


@pytest.mark.parametrize(
    ("change", "status"), [(revoke, 401), (expire, 401), (delete, 401), (narrow, 403), (withdraw, 403)]
)
def test_a_key_that_was_recalled_is_refused_once_it_has_changed(
    crm: Api, key: ApiKey, change: Callable[[ApiKey], None], status: int
) -> None:
    change(key)
    problem(sent(crm), status)
    assert IntegrationEvent.objects.count() == 2


def test_whom_a_closed_key_turns_away_is_told_how_the_address_stands(crm: Api, key: ApiKey) -> None:
    revoke(key)
    assert sent(crm)["RateLimit-Policy"].startswith('"address"')


def test_a_misshapen_event_under_a_key_that_closed_is_refused_for_its_key(crm: Api, key: ApiKey) -> None:
    revoke(key)
    problem(sent(crm, event_type=""), 401)


def test_what_a_key_was_given_meanwhile_holds(crm: Api, key: ApiKey) -> None:
    withdraw(key)
    problem(sent(crm), 403)
    key.group.permissions.add(Permission.objects.get(codename="add_integrationevent"))
    assert sent(crm).status_code == 202


def test_a_duplicate_is_told_to_a_key_that_is_recalled(crm: Api) -> None:
    assert [sent(crm, event_id="e-1").status_code for _time in range(3)] == [202, 200, 200]
