from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.running import Pace, run
from apps.actions.selections import Selection
from apps.deadletters.models import DeadLetter, FailureFamily
from tests.cast import Company, complete

LETTERS, FAMILIES = "/admin/deadletters/deadletter/", "/admin/deadletters/failurefamily/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


@pytest.fixture
def family(company: Company) -> FailureFamily:
    """The two that were refused for their stage; two more were archived."""
    return FailureFamily.objects.get(error_type="http_422")


def shown(family: FailureFamily) -> str:
    return f"{FAMILIES}{family.pk}/change/"


def test_the_list_counts_what_waits_and_links_exactly_those(page: Client, family: FailureFamily) -> None:
    row = next(row for row in page.get(FAMILIES).context["cl"].result_list if row.pk == family.pk)
    assert row.counts == {"unresolved": 2, "archived": 2}
    answer = page.get(f"{LETTERS}?status=unresolved&family={family.fingerprint}")
    assert answer.context["cl"].result_count == 2


def test_the_list_keeps_its_number_of_queries(page: Client, company: Company) -> None:
    page.get(FAMILIES)
    with CaptureQueriesContext(connection) as few:
        page.get(FAMILIES)
    for word in ("one", "two", "three", "four"):
        company.failed(2, last_error=f"cause {word}")
    with CaptureQueriesContext(connection) as many:
        page.get(FAMILIES)
    assert len(many) == len(few) <= 25


def test_the_page_of_a_family_has_the_verbs_of_its_members(page: Client, family: FailureFamily) -> None:
    told = page.get(shown(family)).context
    assert [verb["label"] for verb in told["members"]] == ["Retry 2", "Resolve 2", "Archive 2"]
    answer = page.post(told["members"][0]["url"], dict(told["members"][0]["fields"]))
    assert (answer.status_code, answer.context["preview"].moving) == (200, 2)


def test_the_part_that_moves_is_asked_for_by_itself(page: Client, family: FailureFamily, company: Company) -> None:
    assert "family-live" in page.get(shown(family)).content.decode()
    company.failed(3)
    part = page.get(shown(family), headers={"HX-Request": "true", "HX-Target": "family-live"})
    assert ("Retry 5" in part.content.decode(), b"<html" in part.content) == (True, False)


def test_the_part_of_a_family_that_nobody_knows_is_not_found(page: Client, family: FailureFamily) -> None:
    address = shown(family).replace(str(family.pk), str(uuid4()))
    assert page.get(address, headers={"HX-Target": "family-live"}).status_code == 404


def test_what_may_have_arrived_is_only_reviewed_one_by_one(page: Client, company: Company) -> None:
    told = page.get(shown(FailureFamily.objects.get(error_type="timeout"))).context
    assert (told["members"], "family=" in told["review_url"]) == ([], True)


def test_the_numbers_of_a_family_lead_to_the_rows_they_count(page: Client, family: FailureFamily) -> None:
    tiles = [tile for tile in page.get(shown(family)).context["tiles"] if "url" in tile]
    counted = [page.get(tile["url"]).context["cl"].result_count for tile in tiles]
    assert counted == [tile["value"] for tile in tiles] == [2, 0, 0, 2]


def test_what_worked_last_time_is_one_button_to_the_same_pace(
    page: Client, empty_company: Company, as_ana: Actor
) -> None:
    rows = empty_company.failed(2)
    (family,) = FailureFamily.objects.all()
    words = {"family": family.fingerprint, "status": "unresolved"}
    selection = Selection.matching(DeadLetter, words)
    record = run(DeadLetter.retry, selection, as_ana, given={"note": "token rotated"}, pace=Pace(rate=5, canary=False))
    for _state in pacing.drive(record):
        pass
    complete(rows)
    pacing.watch()
    empty_company.failed(2)
    worked = page.get(shown(family)).context["worked"]
    assert worked["words"].startswith("Retry, “token rotated”: 2 of 2 confirmed, ")
    form = page.post(worked["verb"]["url"], dict(worked["verb"]["fields"])).context["form"]
    assert (form["pace"].value(), form["rate"].value()) == ("rate", "5.0")


def test_the_groups_by_error_and_entity_link_exactly_their_rows(page: Client, company: Company) -> None:
    company.failed(1, error_type="", last_error="")
    groups = page.get(f"{LETTERS}groups/").context["groups"]
    counted = [page.get(group["url"]).context["cl"].result_count for group in groups]
    assert counted == [group["count"] for group in groups] == [2, 1, 1]


def test_a_note_and_a_ticket_are_left_by_hand(page: Client, family: FailureFamily) -> None:
    page.post(shown(family), {"note": "asked the CRM's makers", "ticket_url": "https://tickets.example.com/OPS-7"})
    family.refresh_from_db()
    assert (family.note, family.ticket_url) == ("asked the CRM's makers", "https://tickets.example.com/OPS-7")


@pytest.mark.parametrize(
    "address", ["http://tickets.example.com/7", "javascript:alert(1)", "OPS 7", "https://" + "x" * 600]
)
def test_a_ticket_is_an_https_address_or_nothing_is_kept(page: Client, family: FailureFamily, address: str) -> None:
    answer = page.post(shown(family), {"note": "kept?", "ticket_url": address})
    family.refresh_from_db()
    assert (answer.status_code, family.note, family.ticket_url) == (200, "", "")
    assert answer.context["adminform"].form.errors["ticket_url"]


def test_who_only_looks_leaves_no_note(client: Client, bia: User, family: FailureFamily) -> None:
    client.force_login(bia)
    assert client.get(shown(family)).status_code == 200
    assert client.post(shown(family), {"note": "mine", "ticket_url": ""}).status_code == 403


def test_the_home_page_says_quietly_who_sees_to_a_family(page: Client, family: FailureFamily, as_ana: Actor) -> None:
    run(FailureFamily.acknowledge, Selection.ticked(FailureFamily, [family.pk]), as_ana)
    first, *_rest = page.get("/admin/").context["home"]["failures"]
    assert (first["family"]["word"], first["family"]["owner"]) == ("acknowledged", "ana")
    assert first["family"]["url"] == shown(family)


def test_the_home_page_says_nothing_of_an_ignored_family(page: Client, family: FailureFamily, as_ana: Actor) -> None:
    run(FailureFamily.ignore, Selection.ticked(FailureFamily, [family.pk]), as_ana)
    assert [group["count"] for group in page.get("/admin/").context["home"]["failures"]] == [1]


def test_the_form_of_an_acknowledgement_proposes_the_reader(page: Client, family: FailureFamily) -> None:
    form = page.get(f"{FAMILIES}verbs/acknowledge/?id={family.pk}").context["form"]
    assert (form["owner"].value(), dict(form.fields["owner"].widget.choices)) == ("ana", {"ana": "ana"})


def test_a_wrong_owner_is_refused_on_the_form_with_a_sentence(page: Client, family: FailureFamily) -> None:
    answer = page.post(f"{FAMILIES}verbs/acknowledge/?id={family.pk}", {"confirm": "yes", "owner": "nobody"})
    assert answer.status_code == 422
    assert "Nobody active is called nobody here." in answer.content.decode()


def test_a_selection_of_a_family_bears_its_name(page: Client, family: FailureFamily) -> None:
    address = f"{LETTERS}verbs/retry/?status=unresolved&family={family.fingerprint}"
    assert page.get(address).context["selection_words"] == f"dead letters with family = {family}, status = unresolved"


def test_a_selection_of_a_family_that_nobody_knows_names_the_start_of_its_fingerprint(db: None) -> None:
    assert (
        Selection.matching(DeadLetter, {"family": "0123456789abcdef"}).words() == "dead letters with family = 01234567"
    )
