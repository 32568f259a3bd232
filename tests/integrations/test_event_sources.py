"""Sources as policy: what their form refuses, who may change what, and what their page tells."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.forms import modelform_factory
from django.test import Client

from apps.integrations import doors, tasks
from apps.integrations.forms import EventSourceForm
from apps.integrations.models import EventSource, IntegrationEvent
from tests.integrations.events import PLAIN_SECRET, SECRET, event_of, knock, source
from tests.simulator_process import Simulator

pytestmark = pytest.mark.django_db
GOOD = {
    "slug": "site",
    "name": "The site",
    "scheme": "standard",
    "signature_required": "on",
    "max_bytes": "1048576",
    "credentials": '{"current": "SITE_WEBHOOK_SECRET"}',
    "allowed_networks": "[]",
    "places": "{}",
}


def errors(**change: str) -> Any:
    form = modelform_factory(EventSource, form=EventSourceForm, fields=list(GOOD))
    return set(form({**GOOD, **change}).errors)


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("credentials", f'{{"current": "{SECRET}"}}'),
        ("credentials", '{"other": "SITE_SECRET"}'),
        ("credentials", '{"next": "SITE_SECRET"}'),
        ("credentials", "{}"),
        ("allowed_networks", '["nowhere"]'),
        ("places", '{"status": "x"}'),
        ("places", '{"subject": "a..b"}'),
        ("places", '["subject"]'),
        ("max_bytes", "100000000"),
    ],
)
def test_the_form_refuses_what_will_not_do(field: str, value: str) -> None:
    assert field in errors(**{field: value})


def test_a_sender_that_cannot_sign_says_from_where_it_sends() -> None:
    assert "allowed_networks" in errors(scheme="path")
    assert "allowed_networks" not in errors(scheme="path", allowed_networks='["203.0.113.0/24"]')


def test_the_page_says_where_secrets_stand_and_never_what_they_are(root: Client) -> None:
    good, bad = source(), source("shop", secret="whsec_short")
    pages = [root.get(f"/admin/integrations/eventsource/{row.pk}/change/").content.decode() for row in (good, bad)]
    assert "stands in a secret file" in pages[0]
    assert "whsec_ and base64" in pages[1]
    assert SECRET not in pages[0]


def test_the_page_tells_what_was_turned_away(root: Client) -> None:
    row = source()
    knock("site", b"{}", {})
    page = root.get(f"/admin/integrations/eventsource/{row.pk}/change/").content.decode()
    assert "no signature" in page
    assert doors.turned_away_today([row.pk]) == {row.pk: 1}


def test_an_events_page_shows_what_came_masked(root: Client) -> None:
    event = event_of(source(), data={"name": "Ana", "token": "very-secret"}, headers={"user-agent": "site/1"})
    page = root.get(f"/admin/integrations/integrationevent/{event.pk}/change/").content.decode()
    assert "site/1" in page
    assert "very-secret" not in page


def test_the_list_asks_the_same_however_many_events_it_shows(root: Client, django_assert_max_num_queries: Any) -> None:
    row = source()
    for _ in range(30):
        event_of(row)
    with django_assert_max_num_queries(25):
        root.get("/admin/integrations/integrationevent/")


def test_the_sweep_takes_up_what_no_message_speaks_of(db: None) -> None:
    event = event_of(source())
    tasks.process_events()
    event.refresh_from_db()
    assert event.status == "processed"


@pytest.mark.parametrize("scheme", ["standard", "chatwoot", "hmac", "path"])
@pytest.mark.django_db(transaction=True)
def test_the_simulator_sends_as_each_scheme_signs(simulator: Simulator, live_server: Any, scheme: str) -> None:
    secret = SECRET if scheme == "standard" else PLAIN_SECRET
    source("site", scheme, secret, allowed_networks=["127.0.0.0/8"] if scheme == "path" else [])
    url = f"{live_server.url}/webhook/site".replace("localhost", "127.0.0.1")
    url += f"/{secret.replace(' ', '%20')}" if scheme == "path" else ""
    told = simulator.send_events(
        url, scheme=scheme, secret=secret, count=5, doubled_percent=100, shuffled=True, at_once=2
    )
    assert (told["answers"], told["duplicates"], IntegrationEvent.objects.count()) == ({"200": 10}, 5, 5)


@pytest.mark.django_db(transaction=True)
def test_what_the_simulator_signs_badly_is_refused(simulator: Simulator, live_server: Any) -> None:
    source()
    url = f"{live_server.url}/webhook/site".replace("localhost", "127.0.0.1")
    told = simulator.send_events(url, secret=SECRET, count=5, badly_signed_percent=100)
    assert (told["answers"], EventSource.objects.get().refusals.get().count) == ({"401": 5}, 5)
