import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.integrations.models import ApiKey, CircuitBreaker, Service
from tests.cast import Company

LIST = "/admin/integrations/service/"
SECRET = "s3cr3t-token-value"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def root(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def form(service: Service, **changed: object) -> dict[str, object]:
    columns = (
        *("slug", "name", "connector", "base_url", "connect_seconds", "deadline_seconds", "max_in_flight"),
        *("rate_per_second", "burst", "max_retries", "backoff_base_seconds", "backoff_cap_seconds"),
    )
    told = {name: getattr(service, name) for name in columns}
    listed = {
        name: json.dumps(getattr(service, name)) for name in ("aliases", "credentials", "options", "allowed_networks")
    }
    return told | listed | changed


def test_the_list_says_what_holds_a_service(page: Client, company: Company) -> None:
    text = page.get(LIST).content.decode()
    assert "closed" in text
    assert {row.slug: row.backlog[0] for row in page.get(LIST).context["cl"].result_list}["piperun"] == 2


def test_the_list_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(LIST)
    with CaptureQueriesContext(connection) as few:
        page.get(LIST)
    Service.objects.bulk_create(
        Service(slug=f"s{number}", name="more", connector="http", base_url="http://x.example.com")
        for number in range(20)
    )
    with CaptureQueriesContext(connection) as many:
        page.get(LIST)
    assert len(many) == len(few) <= 18


def test_a_secret_is_named_and_never_shown(page: Client, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPERUN_API_TOKEN", SECRET)
    Service.objects.filter(slug="piperun").update(credentials={"token": "PIPERUN_API_TOKEN"})
    text = page.get(f"{LIST}{company.piperun.pk}/change/").content.decode()
    assert "stands in the environment: a new one needs a restart" in text
    assert SECRET not in text


def test_a_pasted_secret_is_refused(root: Client, company: Company) -> None:
    told = form(company.piperun, credentials=json.dumps({"token": SECRET}))
    answer = root.post(f"{LIST}{company.piperun.pk}/change/", told)
    assert "Name the secret, do not give it" in answer.content.decode()


def test_networks_are_checked(root: Client, company: Company) -> None:
    told = form(company.erp, allowed_networks='["10.1.0.0/16", "everything"]')
    assert "Give a list of networks" in root.post(f"{LIST}{company.erp.pk}/change/", told).content.decode()


@pytest.mark.parametrize("column", ["base_url", "credentials", "allowed_networks"])
def test_where_secrets_go_is_only_a_superuser_s_to_change(
    page: Client, ana: User, company: Company, column: str
) -> None:
    changed = {"base_url": "http://evil.example.com", "credentials": '{"token": "SECRET_KEY"}'}
    told = form(company.erp, rate_per_second=3, **{column: changed.get(column, '["0.0.0.0/0"]')})
    before = getattr(company.erp, column)
    assert page.post(f"{LIST}{company.erp.pk}/change/", told).status_code == 302
    company.erp.refresh_from_db()
    assert (company.erp.rate_per_second, getattr(company.erp, column)) == (3, before)


def test_a_breaker_s_thresholds_are_policy(page: Client, company: Company) -> None:
    breaker = CircuitBreaker.objects.get(service=company.piperun)
    told = {"failure_threshold": 9, "window_seconds": 60, "timeout_seconds": 5, "timeout_cap_seconds": 60}
    answer = page.post(f"/admin/integrations/circuitbreaker/{breaker.pk}/change/", {**told, "status": "open"})
    breaker.refresh_from_db()
    assert (answer.status_code, breaker.failure_threshold, breaker.status) == (302, 9, "closed")
    assert LogEntry.objects.filter(object_id=str(breaker.pk), user__username="ana").count() == 1


def test_an_operator_changes_no_policy(client: Client, company: Company) -> None:
    omar = User.objects.create_user("omar", is_staff=True)
    omar.groups.add(Group.objects.get(name="Operator"))
    client.force_login(omar)
    assert client.post(f"{LIST}{company.erp.pk}/change/", form(company.erp, rate_per_second=3)).status_code == 403


def test_other_names_are_a_list_of_names_that_no_other_service_has(page: Client, company: Company) -> None:
    Service.objects.filter(pk=company.piperun.pk).update(aliases=["crm"])
    url = f"{LIST}{company.erp.pk}/change/"
    for wrong, told in (
        ('["crm"]', "crm is a name of the service piperun already"),
        ('["Two words"]', "list of names"),
    ):
        assert told in page.post(url, form(company.erp, aliases=wrong)).content.decode()
    assert page.post(url, form(company.erp, aliases='["financeiro"]')).status_code == 302


def test_who_only_looks_reads_other_names_in_words(client: Client, bia: User, company: Company) -> None:
    Service.objects.filter(pk=company.piperun.pk).update(aliases=["crm", "<b>sales</b>"])
    client.force_login(bia)
    text = client.get(f"{LIST}{company.piperun.pk}/change/").content.decode()
    assert '<div class="readonly">crm, &lt;b&gt;sales&lt;/b&gt;</div>' in text


def test_a_key_is_revoked_here_and_its_digest_never_shown(page: Client, db: None) -> None:
    group = Group.objects.get(name="Viewer")
    key = ApiKey.objects.create(name="The site", prefix="ops_12ab", digest="d" * 64, group=group)
    text = page.get(f"/admin/integrations/apikey/{key.pk}/change/").content.decode()
    assert "ops_12ab…" in text
    assert "d" * 64 not in text
    page.post(f"/admin/integrations/apikey/verbs/revoke/?id={key.pk}", {"confirm": "yes", "reason": "leaked"})
    key.refresh_from_db()
    assert key.status == "revoked"
