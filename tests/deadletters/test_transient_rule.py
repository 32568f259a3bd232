from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from apps.deadletters.failures import TRANSIENT
from apps.deadletters.models import DeadLetter, TransientRule
from tests.cast import Company

PAGE = "/admin/deadletters/transientrule/1/change/"
TOLD = {"classes": ["transient"], "older_than_minutes": "5", "attempts_at_least": "2"}


@pytest.fixture
def root(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def command(*words: str) -> str:
    out = StringIO()
    call_command("resolve_transient", *words, stdout=out)
    return out.getvalue()


def test_nobody_needs_to_have_written_the_rule(db: None) -> None:
    assert TransientRule.current().classes == list(TRANSIENT)


def test_staff_change_the_one_rule_twice(root: Client) -> None:
    for minutes in ("5", "7"):
        assert root.post(PAGE, TOLD | {"older_than_minutes": minutes}).status_code == 302
    rule = TransientRule.objects.get()
    assert (rule.classes, rule.older_than_minutes, rule.attempts_at_least) == (["transient"], 7, 2)


@pytest.mark.parametrize(
    "wrong",
    [{"classes": []}, {"classes": ["sunspots"]}, {"older_than_minutes": "-1"}, {"older_than_minutes": "9999999"}],
)
def test_a_rule_that_says_nothing_or_nonsense_is_refused(root: Client, wrong: dict[str, object]) -> None:
    answer = root.post(PAGE, TOLD | wrong)
    assert answer.context["adminform"].form.errors
    assert not TransientRule.objects.exists()


def test_the_list_of_the_rule_leads_to_it(root: Client) -> None:
    assert root.get("/admin/deadletters/transientrule/")["Location"] == PAGE


def test_the_inbox_leads_to_a_preview_of_what_the_rule_means(client: Client, ana: User, company: Company) -> None:
    company.failed(2, failure_class="transient")
    client.force_login(ana)
    url = client.get("/admin/deadletters/deadletter/").context["transient_url"]
    preview = client.get(url).context["preview"]
    assert (preview.moving, preview.total) == (2, 2)


def test_the_command_resolves_what_the_rule_means(company: Company) -> None:
    company.failed(2, failure_class="transient")
    assert "2 of 2 rows would move" in command("--dry-run")
    assert "2 of 2 rows moved" in command("--note", "the network was away")
    assert set(DeadLetter.objects.filter(failure_class="transient").values_list("status", "resolution_notes")) == {
        ("resolved", "the network was away")
    }
