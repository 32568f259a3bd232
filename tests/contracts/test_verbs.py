"""Every verb of every noun, through every face. A new verb is tested by being declared."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from apps.actions.models import ActionItem, ActionRun
from apps.actions.permissions import require
from apps.actions.running import preview
from apps.actions.verbs import NotPermitted, Verb
from tests.cast import ROOT, Company
from tests.contracts.faces import FACES, GUARDED, Face, Page, PreviewPage, address, list_of
from tests.contracts.world import VERBS, legal_row, one, populate

every_verb = pytest.mark.parametrize("verb", VERBS, ids=repr)
every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)

ACCESS_LOG = {"integrations_accessrefusal": "", "integrations_apikey": "", "integrations_keyuse": ""}
"""Who showed a key, and who was turned away, is noted whatever comes of it."""


@pytest.fixture(autouse=True)
def _world(company: Company) -> None:
    populate(company)


@every_verb
def test_looking_changes_nothing(verb: Verb, ana: User) -> None:
    row, page = legal_row(verb), Page(ana)
    page.client.get("/admin/")
    before = checksums()
    key = f"{list_of(verb)}{row.pk}"
    for path in (list_of(verb), f"{key}/change/", f"{key}/history/", f"{address(verb, row)}&confirm=yes"):
        assert page.client.get(path).status_code == 200
    assert checksums() == before


@every_verb
def test_every_face_previews_the_same_numbers(verb: Verb, ana: User) -> None:
    row = legal_row(verb)
    expected = preview(verb, one(verb.model, row), ROOT)
    told = {face.__name__: face(ana).preview(verb, row) for face in FACES}
    assert set(told.values()) == {(expected.moving, expected.total)}, told


@every_face
@every_verb
def test_each_face_performs_it_and_leaves_one_run_with_its_item(verb: Verb, face: type[Face], ana: User) -> None:
    row = legal_row(verb)
    runs, items = set(ActionRun.objects.values_list("pk", flat=True)), ActionItem.objects.filter(object_id=row.pk)
    before = items.count()
    face(ana).press(verb, row)
    if verb.target:
        row.refresh_from_db()
        assert row.status == verb.target
    made = ActionRun.objects.exclude(pk__in=runs)
    expected = [] if verb.model is ActionRun else [(verb.name, 1)]  # there is no run of a run
    assert list(made.values_list("verb", "moved")) == expected
    assert items.count() == before + 1


@every_verb
def test_every_face_refuses_a_viewer_with_the_same_sentence(verb: Verb, as_bia: Any, bia: User) -> None:
    row = legal_row(verb)
    with pytest.raises(NotPermitted) as refused:
        require(as_bia, verb)
    before = checksums()
    told = {face.__name__: face(bia).refusal(verb, row) for face in GUARDED}
    assert not {name: words for name, words in told.items() if str(refused.value) not in words}
    assert {**checksums(), **ACCESS_LOG} == {**before, **ACCESS_LOG}


@every_verb
def test_who_may_see_nothing_is_turned_away(verb: Verb, caio: User) -> None:
    row = legal_row(verb)
    assert "may not" in PreviewPage(caio).refusal(verb, row)


def checksums() -> dict[str, str]:
    """Return a checksum of every table of ours."""
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names(cursor):
            if table.startswith(("actions_", "deadletters_", "jobs_", "integrations_", "operations_")):
                cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")  # noqa: S608 # our own tables
                found[table] = cursor.fetchone()[0] or ""
    return found
