import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.actions import pacing
from apps.actions.actors import Actor
from apps.actions.models import ActionRun
from apps.actions.running import Pace
from apps.actions.selections import Selection
from apps.actions.verbs import Refused
from apps.deadletters.models import DeadLetter
from apps.operations.editing import edit_many
from apps.operations.models import PayloadVersion, PendingOperation
from tests.cast import ROOT, Company, complete, give_up, matching, ticked

EDIT = "/admin/operations/pendingoperation/edit/"
GOOD = {"title": "Ten chairs", "pipeline_id": 1, "stage_id": 7}
MOVE = [{"op": "test", "path": "/stage_id", "value": 7}, {"op": "replace", "path": "/stage_id", "value": 11}]
UNRESOLVED = {"kind": "deadletters.deadletter", "status": "unresolved"}


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    client.force_login(ana)
    return client


def failed(company: Company, count: int, **payload: Any) -> list[PendingOperation]:
    return give_up(company.operations_of(count, payload={**GOOD, **payload}))


def stages() -> list[Any]:
    return list(PendingOperation.objects.order_by("pk").values_list("payload__stage_id", flat=True))


def apply(selection: Selection, rule: Any = MOVE, **how: Any) -> ActionRun:
    return edit_many(selection, rule, ROOT, reason="the stage was closed", **how)


def words(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def posted(answer: Any) -> dict[str, str]:
    fields = {field.name: str(field.value() or "") for field in answer.context["form"]}
    return fields | {"rule": json.dumps(MOVE), "reason": "the stage was closed"}


def test_one_rule_edits_all_that_match_and_sends_them_again(empty_company: Company) -> None:
    failed(empty_company, 3)
    record = apply(matching(status="failed"))
    assert (record.total, record.moved, stages()) == (3, 3, [11, 11, 11])
    assert PendingOperation.objects.filter(status="pending").count() == 3


def test_a_row_that_the_rule_does_not_fit_stays_and_is_refused_by_sentence(empty_company: Company) -> None:
    failed(empty_company, 2)
    failed(empty_company, 1, stage_id=3)
    record = apply(matching(status="failed"))
    assert record.refusals == {"the test of /stage_id failed": 1}
    assert stages() == [11, 11, 3]
    assert PendingOperation.objects.get(status="failed").payload == {**GOOD, "stage_id": 3}


def test_a_result_that_its_connector_refuses_is_not_written(empty_company: Company) -> None:
    failed(empty_company, 2)
    record = apply(matching(status="failed"), [{"op": "remove", "path": "/title"}])
    assert list(record.refusals) == ["The payload of deal.create cannot be sent: title is required"]
    assert not PayloadVersion.objects.exists()


def test_a_row_that_would_stay_as_it_is_is_refused(empty_company: Company) -> None:
    failed(empty_company, 2)
    record = apply(matching(status="failed"), [{"op": "replace", "path": "/stage_id", "value": 7}])
    assert record.refusals == {"nothing would change": 2}


def test_each_edited_row_keeps_its_versions(empty_company: Company) -> None:
    failed(empty_company, 3)
    record = apply(matching(status="failed"))
    assert PayloadVersion.objects.filter(number=1, payload__stage_id=7, run_id=None).count() == 3
    assert PayloadVersion.objects.filter(number=2, payload__stage_id=11, run_id=record.pk).count() == 3


def test_the_rows_of_a_rule_share_no_value(empty_company: Company) -> None:
    failed(empty_company, 2)
    rule = [{"op": "add", "path": "/tags", "value": []}, {"op": "add", "path": "/tags/-", "value": "late"}]
    apply(matching(status="failed"), rule)
    assert list(PendingOperation.objects.values_list("payload__tags", flat=True)) == [["late"], ["late"]]


def test_all_dead_letters_of_a_cause_are_edited_through_their_sources(empty_company: Company) -> None:
    failed(empty_company, 3)
    other = give_up(empty_company.operations_of(1, payload=GOOD), last_error="the funnel is closed")
    cause = DeadLetter.objects.exclude(source_id=other[0].pk).values_list("fingerprint", flat=True).first()
    record = apply(Selection.matching(DeadLetter, {"status": "unresolved", "family": str(cause)}))
    assert (record.kind, record.moved, stages()) == ("deadletters.deadletter", 3, [11, 11, 11, 7])
    assert DeadLetter.objects.filter(status="retrying").count() == 3


def test_a_dead_letter_is_refused_in_the_sentence_of_its_source(empty_company: Company) -> None:
    failed(empty_company, 1, stage_id=3)
    failed(empty_company, 1)
    record = apply(Selection.matching(DeadLetter, {"status": "unresolved"}))
    assert (record.moved, record.refusals) == (1, {"the test of /stage_id failed": 1})


def test_what_may_have_arrived_is_never_edited_by_a_rule(company: Company) -> None:
    record = apply(matching(status="failed"), [{"op": "add", "path": "/pipeline_id", "value": 1}])
    assert "outcome unknown: check the far end first, then resolve it, send it again or archive it" in record.refusals
    assert "pipeline_id" not in company.operations["ambiguous"][0].payload


def test_a_large_edit_goes_on_in_the_background_with_its_canary(empty_company: Company) -> None:
    failed(empty_company, 30)
    record = apply(matching(status="failed"), pace=Pace(canary=True))
    assert record.status == ActionRun.Status.QUEUED
    pacing.take_turn()
    assert stages().count(11) == 1


def test_a_canary_whose_rule_does_not_help_stops_by_itself(empty_company: Company) -> None:
    rows = failed(empty_company, 30)
    record = apply(matching(status="failed"), pace=Pace(canary=True))
    pacing.take_turn()
    give_up(rows)
    ActionRun.objects.update(due_at="2020-01-01T00:00:00Z")
    pacing.take_turn()
    record.refresh_from_db()
    assert (record.status, record.failed_again, stages().count(11)) == ("stopped", 1, 1)


def test_another_rule_over_the_same_rows_waits_for_the_first(empty_company: Company) -> None:
    failed(empty_company, 30)
    apply(matching(status="failed"), pace=Pace(canary=True))
    with pytest.raises(Refused, match="under way over the same rows"):
        apply(matching(status="failed"), [{"op": "remove", "path": "/stage_id"}])


def test_the_score_of_an_edit_is_kept(empty_company: Company) -> None:
    rows = failed(empty_company, 3)
    record = apply(ticked(*rows))
    complete(rows[:2])
    pacing.watch()
    record.refresh_from_db()
    assert (record.confirmed, record.still_open) == (2, 1)


def test_the_page_tries_the_rule_on_three_before_anything_is_done(page: Client, empty_company: Company) -> None:
    failed(empty_company, 4)
    answer = page.post(f"{EDIT}?status=failed", {**posted(page.get(f"{EDIT}?status=failed")), "look": "yes"})
    assert [[change.after for change in sample["changes"]] for sample in answer.context["samples"]] == [["11"]] * 3
    assert (answer.context["trial"].fits, stages()) == (4, [7] * 4)


def test_the_page_shows_one_that_stays_among_its_samples(page: Client, empty_company: Company) -> None:
    failed(empty_company, 4)
    failed(empty_company, 1, stage_id=3)
    answer = page.post(f"{EDIT}?status=failed", {**posted(page.get(f"{EDIT}?status=failed")), "look": "yes"})
    assert [sample["refusal"] for sample in answer.context["samples"]] == ["the test of /stage_id failed", "", ""]
    assert "It stays: the test of /stage_id failed." in words(answer)


def test_pressed_after_the_look_the_rule_is_applied(page: Client, empty_company: Company) -> None:
    failed(empty_company, 2)
    looked = page.post(f"{EDIT}?status=failed", {**posted(page.get(f"{EDIT}?status=failed")), "look": "yes"})
    answer = page.post(f"{EDIT}?status=failed", {**posted(looked), "pace": "all", "confirm": "yes"})
    assert answer["Location"] == ActionRun.objects.get(verb="edit").get_absolute_url()
    assert stages() == [11, 11]


def test_a_rule_that_was_not_looked_at_is_not_applied(page: Client, empty_company: Company) -> None:
    failed(empty_company, 2)
    answer = page.post(f"{EDIT}?status=failed", {**posted(page.get(f"{EDIT}?status=failed")), "confirm": "yes"})
    assert (answer.status_code, stages()) == (200, [7, 7])


def test_a_bad_rule_is_shown_with_its_reason_and_kept(page: Client, empty_company: Company) -> None:
    failed(empty_company, 2)
    form = posted(page.get(f"{EDIT}?status=failed")) | {"rule": '[{"op": "set"}]', "look": "yes"}
    answer = page.post(f"{EDIT}?status=failed", form)
    assert (answer.status_code, answer.context["form"]["rule"].value()) == (422, '[{"op": "set"}]')
    assert "op is one of add, remove" in words(answer)


def test_ticked_rows_of_a_list_are_led_to_the_rule(page: Client, empty_company: Company) -> None:
    rows = failed(empty_company, 2)
    ticks = {"action": ["edit"], "index": "0", "_selected_action": [str(row.pk) for row in rows]}
    answer = page.post("/admin/operations/pendingoperation/", ticks)
    assert answer.status_code == 307
    shown = page.post(answer["Location"], ticks)
    assert [key for _name, key in shown.context["hidden"]] == [row.pk for row in rows]


def test_the_one_ticked_row_of_a_list_is_led_to_its_payload(page: Client, empty_company: Company) -> None:
    (row,) = failed(empty_company, 1)
    ticks = {"action": ["edit"], "index": "0", "_selected_action": [str(row.pk)]}
    first = page.post("/admin/operations/pendingoperation/", ticks)
    assert page.post(first["Location"], ticks)["Location"] == f"{EDIT}?id={row.pk}"


def test_all_that_match_a_list_of_dead_letters_are_led_to_the_rule(page: Client, empty_company: Company) -> None:
    failed(empty_company, 2)
    ticks = {"action": ["edit"], "index": "0", "select_across": "1", "_selected_action": ["x"]}
    answer = page.post("/admin/deadletters/deadletter/?status=unresolved", ticks)
    assert page.get(answer["Location"]).context["preview"].moving == 2


def test_the_rule_needs_the_right_to_edit_the_sources_too(client: Client, bia: User, as_bia: Actor) -> None:
    client.force_login(bia)
    answer = client.get(EDIT, UNRESOLVED)
    assert (answer.status_code, "edit_" in words(answer)) == (403, True)


def test_an_unknown_word_of_the_filter_is_refused(page: Client, empty_company: Company) -> None:
    assert page.get(f"{EDIT}?statsu=failed").status_code == 400
