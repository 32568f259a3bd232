"""GET only looks (S03): every call that reads leaves every table as it was."""

import pytest
from django.apps import apps
from django.db import connection

from apps.actions.verbs import nouns, slug_of, verbs_of
from tests.api import Api
from tests.cast import Company
from tests.opsconsole.test_api_root import calls

pytestmark = pytest.mark.django_db
KEPT_BY_READING = {"integrations_accessrefusal", "integrations_apikey", "integrations_keyuse"}
"""The access log: when a key was last used and from where, and who was turned away."""


def everything() -> dict[str, str]:
    """A digest of each table."""
    tables = {model._meta.db_table for model in apps.get_models()} - KEPT_BY_READING
    with connection.cursor() as cursor:
        digests = {}
        for table in sorted(tables):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")  # noqa: S608 # ours
            digests[table] = str(cursor.fetchone()[0])
    return digests


def test_no_call_that_reads_changes_anything(ana_api: Api, company: Company) -> None:
    ids = {"pending-operations": company.operations["failed"][0].pk, "queues": company.crm.pk}
    before = everything()
    for method, path in calls():
        if method == "GET":
            ana_api.get(path.replace("0192f0c1-2b3c-7def-8a90-0123456789ab", str(ids.get(path.split("/")[2]))))
    assert everything() == before


def test_no_preview_changes_anything(ana_api: Api, company: Company) -> None:
    before = everything()
    for verb in [verb for model in nouns() for verb in verbs_of(model).values()]:
        asked = {"dry_run": True, "filter": {}} | ({"reason": "x"} if "reason" in verb.asks else {})
        answer = ana_api.send(f"/api/{slug_of(verb.model)}/{verb.name}", asked)
        assert answer.status_code == 200, answer.content
    assert everything() == before
