"""A GET only looks (S03): a superuser follows every link of the console, and no table changes."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from apps.actions.verbs import nouns
from tests.cast import Company
from tests.contracts.crawling import kind, links
from tests.contracts.world import populate

pytestmark = pytest.mark.django_db
OF_A_VISIT = {"django_session", "integrations_accessrefusal", "integrations_apikey", "integrations_keyuse"}
"""The session and the access log."""
PAGES_AT_MOST = 300
EACH_AT_MOST = 2
"""So many pages of one kind: the third row's page is like the first one's."""


def everything() -> dict[str, str]:
    """A digest of each table."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted({model._meta.db_table for model in apps.get_models()} - OF_A_VISIT):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")  # noqa: S608 # ours
            found[table] = str(cursor.fetchone()[0])
    return found


def crawl(client: Client) -> dict[str, int]:
    """Follow every link from the home page; return the addresses and what each answered."""
    seen: dict[str, int] = {}
    kinds: dict[str, int] = {}
    left = ["/admin/"]
    while left and len(seen) < PAGES_AT_MOST:
        path = left.pop(0)
        if path in seen or kinds.setdefault(kind(path), 0) >= EACH_AT_MOST:
            continue
        kinds[kind(path)] += 1
        answer = client.get(path)
        seen[path] = answer.status_code
        left += links(path, answer.content.decode(errors="replace") if not answer.streaming else "")
    return seen


def test_following_every_link_changes_nothing(company: Company) -> None:
    populate(company)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    client.get("/admin/")
    before = everything()
    seen = crawl(client)
    assert {path: status for path, status in seen.items() if status >= 400} == {}
    assert everything() == before
    lists = {f"/admin/{noun._meta.app_label}/{noun._meta.model_name}/" for noun in nouns()}
    assert lists <= seen.keys()
