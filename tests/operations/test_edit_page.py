import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.actions.models import ActionItem, ActionRun
from apps.deadletters.models import DeadLetter
from apps.operations.models import EditRule, PayloadVersion, PendingOperation
from tests.cast import Company, give_up, letter_of

EDIT = "/admin/operations/pendingoperation/edit/"
BAD = {"title": "Ten chairs", "pipeline_id": 1, "email": "joao@example.com"}


@pytest.fixture
def operation(empty_company: Company) -> PendingOperation:
    """Failed for want of a stage."""
    return give_up([empty_company.operation(payload=BAD, source="shop")])[0]


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def address(operation: PendingOperation) -> str:
    return f"{EDIT}?id={operation.pk}"


def shown(page: Client, operation: PendingOperation, query: str = "") -> dict[str, str]:
    """Return the form as a browser shows it."""
    return posted(page.get(address(operation) + query))


def posted(answer: Any) -> dict[str, str]:
    """Return what the form of a page would post."""
    return {field.name: str(field.value() or "") for field in answer.context["form"]}


def typed(form: dict[str, str], **changed: Any) -> dict[str, str]:
    """Return the form with fields of its payload changed, and a reason."""
    payload = json.loads(form["payload"]) | changed
    return form | {"payload": json.dumps(payload), "reason": "the stage was missing"}


def look(page: Client, operation: PendingOperation, form: dict[str, str]) -> Any:
    return page.post(address(operation), {**form, "look": "yes"})


def press(page: Client, operation: PendingOperation, form: dict[str, str]) -> Any:
    """Look at what changes, and press."""
    return page.post(address(operation), {**posted(look(page, operation, form)), "confirm": "yes"})


def words(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def test_an_edit_changes_the_payload_and_sends_it_again(page: Client, operation: PendingOperation) -> None:
    answer = press(page, operation, typed(shown(page, operation), stage_id=11))
    operation.refresh_from_db()
    assert (answer.status_code, operation.status, operation.payload) == (302, "pending", BAD | {"stage_id": 11})


def test_an_edit_is_a_run_with_its_item_and_its_reason(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    run = ActionRun.objects.get(verb="edit")
    assert (run.moved, run.actor_name, run.given["reason"]) == (1, "ana", "the stage was missing")
    assert ActionItem.objects.filter(run=run, object_id=operation.pk, to_status="pending").count() == 1


def test_the_record_of_a_run_holds_no_payload(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    assert "chairs" not in json.dumps(ActionRun.objects.get(verb="edit").given)
    assert not EditRule.objects.exists()


def test_the_dead_letter_follows_an_edit(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    assert letter_of(operation).status == DeadLetter.Status.RETRYING


def test_nothing_is_saved_before_the_changes_were_looked_at(page: Client, operation: PendingOperation) -> None:
    answer = page.post(address(operation), {**typed(shown(page, operation), stage_id=11), "confirm": "yes"})
    (change,) = answer.context["changes"]
    assert (change.path, change.before, change.after) == ("stage_id", None, "11")
    assert not PayloadVersion.objects.exists()


def test_what_was_changed_after_the_look_is_looked_at_again(page: Client, operation: PendingOperation) -> None:
    form = posted(look(page, operation, typed(shown(page, operation), stage_id=11)))
    answer = page.post(address(operation), {**typed(form, stage_id=12), "confirm": "yes"})
    assert [change.after for change in answer.context["changes"]] == ["12"]


def test_every_payload_is_kept_with_who_made_it_and_why(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    kept = PayloadVersion.objects.values_list("number", "made_by", "reason", "payload__stage_id")
    assert list(kept) == [(1, "shop", "", None), (2, "ana", "the stage was missing", 11)]


def test_one_can_go_back_to_an_older_payload(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    give_up([operation])
    press(page, operation, shown(page, operation, "&version=1") | {"payload": json.dumps(BAD | {"stage_id": 3})})
    operation.refresh_from_db()
    assert operation.payload == BAD | {"stage_id": 3}
    assert operation.versions.count() == 3


def test_the_operations_page_shows_its_versions(page: Client, operation: PendingOperation) -> None:
    press(page, operation, typed(shown(page, operation), stage_id=11))
    text = words(page.get(f"/admin/operations/pendingoperation/{operation.pk}/change/"))
    assert "Version 2 the one that is sent ana" in text
    assert "stage_id not there 11" in text


def test_masked_values_left_as_they_were_keep_their_true_ones(page: Client, operation: PendingOperation) -> None:
    form = shown(page, operation)
    assert "joao@example.com" not in form["payload"]
    press(page, operation, typed(form, stage_id=11))
    operation.refresh_from_db()
    assert operation.payload["email"] == "joao@example.com"


def test_a_masked_value_that_was_changed_by_half_is_refused(page: Client, operation: PendingOperation) -> None:
    answer = look(page, operation, typed(shown(page, operation), stage_id=11, email="xj***@e…"))
    assert (answer.status_code, "email: holds a masked value" in words(answer)) == (422, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"title": "Ten chairs",}', "line 1"),
        ("[]", "A payload is an object"),
        ('{"title": "", "pipeline_id": 1, "stage_id": 1}', "title"),
        ('{"pipeline_id": "x", "title": "a", "stage_id": 1}', "pipeline_id"),
        ('{"a": 1, "a": 2}', "twice"),
        ("", "required"),
    ],
)
def test_a_payload_that_cannot_be_sent_is_refused_by_field(
    page: Client, operation: PendingOperation, text: str, said: str
) -> None:
    answer = look(page, operation, shown(page, operation) | {"payload": text})
    assert answer.status_code == 422
    assert said in str(answer.context["form"].errors["payload"])
    assert answer.context["form"]["payload"].value() == text


def test_an_edit_without_a_reason_is_refused_and_keeps_what_was_typed(
    page: Client, operation: PendingOperation
) -> None:
    answer = press(page, operation, typed(shown(page, operation), stage_id=11) | {"reason": " "})
    assert (answer.status_code, "needs a reason" in words(answer)) == (422, True)
    assert json.loads(answer.context["form"]["payload"].value())["stage_id"] == 11


def test_the_same_form_sent_twice_is_one_edit(page: Client, operation: PendingOperation) -> None:
    form = posted(look(page, operation, typed(shown(page, operation), stage_id=11))) | {"confirm": "yes"}
    assert [page.post(address(operation), form).status_code for _click in range(2)] == [302, 302]
    assert ActionRun.objects.filter(verb="edit").count() == 1


def test_of_two_who_edit_at_once_the_second_is_told_and_overwrites_nothing(
    page: Client, operation: PendingOperation
) -> None:
    other = Client()
    other.force_login(User.objects.create_superuser("bruno"))
    theirs = shown(other, operation)
    mine = posted(look(page, operation, typed(shown(page, operation), stage_id=11)))
    press(other, operation, typed(theirs, stage_id=7))
    answer = page.post(address(operation), {**mine, "confirm": "yes"})
    assert answer.status_code == 409
    assert "bruno pressed Edit and retry" in words(answer)
    assert "(the stage was missing): it is pending now" in words(answer)
    assert json.loads(answer.context["form"]["payload"].value())["stage_id"] == 11
    operation.refresh_from_db()
    assert operation.payload["stage_id"] == 7


def test_after_a_conflict_the_change_may_be_put_on_top_of_what_is_there(
    page: Client, operation: PendingOperation
) -> None:
    other = Client()
    other.force_login(User.objects.create_superuser("bruno"))
    mine = shown(page, operation)
    press(other, operation, typed(shown(other, operation), stage_id=7))
    give_up([operation])
    conflict = look(page, operation, typed(mine, stage_id=11))
    assert [(change.before, change.after) for change in conflict.context["changes"]] == [("7", "11")]
    assert page.post(address(operation), {**posted(conflict), "confirm": "yes"}).status_code == 302


def test_an_operation_of_unknown_outcome_is_never_edited(page: Client, company: Company) -> None:
    (ambiguous,) = company.operations["ambiguous"]
    form = shown(page, ambiguous) | {"payload": json.dumps(BAD | {"stage_id": 1}), "reason": "because"}
    answer = press(page, ambiguous, form)
    assert (answer.status_code, "outcome unknown: check the far end first" in words(answer)) == (409, True)
    ambiguous.refresh_from_db()
    assert ambiguous.status == "failed"


def test_a_viewer_is_turned_away_from_the_form(client: Client, bia: User, operation: PendingOperation) -> None:
    client.force_login(bia)
    answer = client.get(address(operation))
    assert (answer.status_code, "operations.edit_pendingoperation" in words(answer)) == (403, True)


def test_a_dead_letter_leads_to_the_form_of_its_source(page: Client, operation: PendingOperation) -> None:
    letter = letter_of(operation)
    verbs = page.get(f"/admin/deadletters/deadletter/{letter.pk}/change/").context["verbs"]
    (link,) = (verb["link"] for verb in verbs if verb["name"] == "edit")
    assert page.get(link)["Location"] == address(operation)


def test_a_row_that_is_not_there_is_told_apart(page: Client, empty_company: Company) -> None:
    assert page.get(f"{EDIT}?id=0192f0c1-2b3c-7def-8a90-0123456789ab").status_code == 404
    assert page.get(f"{EDIT}?kind=auth.user&id=7").status_code == 404
    assert page.get(f"{EDIT}?id=x").status_code == 422


def test_an_operation_of_many_versions_asks_no_more_questions(
    page: Client, operation: PendingOperation, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    PayloadVersion.objects.bulk_create(
        PayloadVersion(operation=operation, number=number, payload=BAD | {"stage_id": number})
        for number in range(1, 60)
    )
    page.get(address(operation))
    with django_assert_max_num_queries(12):
        answer = page.get(address(operation))
    assert len(answer.context["versions"]) == 20


def test_operators_and_supervisors_may_edit_and_viewers_may_not(db: None) -> None:
    may = Permission.objects.get(codename="edit_pendingoperation").group_set
    assert set(may.values_list("name", flat=True)) == {"Operator", "Supervisor"}
