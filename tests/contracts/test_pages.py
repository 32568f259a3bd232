"""What holds of every page of the console: its headers, its tokens, and that it is closed to strangers."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.actions.verbs import nouns
from tests.cast import Company

SCRIPTS = ("script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'")
NOUNS = [f"{noun._meta.app_label}_{noun._meta.model_name}" for noun in nouns()]
DATA = [
    "/admin/",
    "/admin/?part=pulse",
    "/admin/dashboard/",
    "/admin/health/",
    "/admin/calendar/",
    "/admin/database/",
    "/admin/database/slowest/",
    "/admin/database/indexes/",
    "/admin/deadletters/deadletter/causes/",
    "/admin/deadletters/deadletter/groups/",
    "/admin/deadletters/deadletter/views/",
    "/admin/integrations/endpoint/add/",
    "/admin/integrations/endpoint/samples/",
    "/admin/jobs/heartbeat/",
    "/admin/jobs/process/",
    "/admin/left-on/",
    "/admin/operations/pendingoperation/edit/",
    "/admin/syncs/customer/",
    "/admin/syncs/order/",
    "/admin/syncs/product/",
    "/admin/syncs/sync/resync/",
    "/admin/syncs/sync/switchboard/",
    *(reverse(f"admin:{noun}_changelist") for noun in NOUNS),
]
"""Pages that show data."""
OPEN = ["/admin/login/", "/nowhere/"]


@pytest.fixture
def root(company: Company) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("path", [*DATA, *OPEN])
def test_no_page_runs_anything_that_is_not_ours(root: Client, path: str) -> None:
    policy = root.get(path)["Content-Security-Policy"]
    assert [rule for rule in SCRIPTS if rule not in policy] == []
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", [*DATA, *OPEN])
def test_no_page_is_sniffed_framed_or_told_to_others(root: Client, path: str) -> None:
    headers = root.get(path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", DATA)
def test_pages_with_data_are_kept_by_nobody(root: Client, path: str) -> None:
    answer = root.get(path)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("path", DATA)
def test_strangers_are_led_to_the_sign_in(client: Client, company: Company, path: str) -> None:
    assert client.get(path)["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("noun", NOUNS)
def test_a_post_without_the_token_is_refused(company: Company, noun: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    verbs = reverse(f"admin:{noun}_verb", args=["pause"])
    assert [client.post(path).status_code for path in (reverse(f"admin:{noun}_changelist"), verbs)] == [403, 403]
