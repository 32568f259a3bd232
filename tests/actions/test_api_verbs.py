from functools import cache

import pytest

from apps.actions.models import ActionItem, ActionRun
from apps.actions.verbs import Verb, nouns, slug_of, verbs_of
from apps.operations.models import PendingOperation
from opsconsole.api import api
from tests.api import Api, problem
from tests.cast import Company, refreshed

pytestmark = pytest.mark.django_db
ROOT = "/api/pending-operations"
schema = cache(lambda: api.get_openapi_schema(path_prefix="/api/"))
VERBS = [verb for model in nouns() for verb in verbs_of(model).values()]


@pytest.mark.parametrize("verb", VERBS, ids=repr)
def test_every_verb_has_a_call_for_one_row_and_one_for_many(verb: Verb) -> None:
    paths = schema()["paths"]
    noun = slug_of(verb.model)
    assert "post" in paths[f"/api/{noun}/{verb.name}"]
    assert "post" in paths[f"/api/{noun}/{{id}}/{verb.name}"]


@pytest.mark.parametrize("verb", VERBS, ids=repr)
def test_the_documentation_names_exactly_what_a_verb_asks(verb: Verb) -> None:
    schemas = schema()["components"]["schemas"]
    body = schemas[f"{verb.model.__name__}_{verb.name}_Asked"]
    assert set(body["properties"]) == {"note", "dry_run", *verb.asks}
    unless_dry = [{"required": ["reason"]}, {"required": ["dry_run"], "properties": {"dry_run": {"const": True}}}]
    assert body.get("anyOf", []) == (unless_dry if "reason" in verb.asks else [])
    assert "required" not in body


def test_a_verb_moves_the_ticked_rows(ana_api: Api, company: Company) -> None:
    ids = [str(operation.pk) for operation in company.operations["failed"]]
    found = ana_api.send(f"{ROOT}/retry", {"ids": ids}).json()
    assert (found["total"], found["moved"], found["refused"]) == (2, 2, 0)
    assert {operation.status for operation in refreshed(company.operations["failed"])} == {"pending"}


def test_a_verb_moves_all_that_match_and_counts_the_refused_by_sentence(ana_api: Api, company: Company) -> None:
    found = ana_api.send(f"{ROOT}/reset", {"filter": {"status": "failed"}}).json()
    assert (found["moved"], found["refused"]) == (2, 1)
    assert "outcome unknown" in next(iter(found["refusals"]))


def test_a_filter_takes_yes_as_json_has_it(ana_api: Api, company: Company) -> None:
    found = ana_api.send(f"{ROOT}/restore", {"filter": {"archived": True}}).json()
    assert (found["moved"], found["refused"]) == (2, 0)


def test_a_dry_run_tells_the_same_numbers_and_changes_nothing(ana_api: Api, company: Company) -> None:
    found = ana_api.send(f"{ROOT}/reset", {"filter": {"status": "failed"}, "dry_run": True}).json()
    assert (found["total"], found["moving"], found["refused"]) == (3, 2, 1)
    assert not ActionRun.objects.filter(verb="reset").exists()


def test_a_dry_run_on_one_row_says_why_it_would_stay(ana_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['completed'][0].pk}/retry"
    assert list(ana_api.send(path, {"dry_run": True}).json()["refusals"]) == [
        "completed; retry needs failed or pending"
    ]


@pytest.mark.parametrize("body", [{}, {"ids": [], "filter": {}}, {"ids": []}])
def test_a_verb_on_many_must_be_told_which(ana_api: Api, body: dict[str, object]) -> None:
    problem(ana_api.send(f"{ROOT}/retry", body), 422)


def test_one_foreign_id_refuses_the_whole(ana_api: Api, company: Company) -> None:
    ids = [str(company.operations["failed"][0].pk), "0192f0c1-2b3c-7def-8a90-0123456789ab"]
    problem(ana_api.send(f"{ROOT}/retry", {"ids": ids}), 404)
    assert not ActionItem.objects.filter(verb="retry", run__isnull=False).exists()


@pytest.mark.parametrize(("word", "hint"), [("sttus", "status"), ("q2", "q"), ("is_superuser", "")])
def test_an_unknown_word_of_a_filter_is_refused_with_the_nearest(ana_api: Api, word: str, hint: str) -> None:
    assert hint in problem(ana_api.send(f"{ROOT}/retry", {"filter": {word: "x"}}), 400)["detail"]
    assert hint in problem(ana_api.get(f"{ROOT}?{word}=x"), 400)["detail"]


def test_an_unknown_field_is_refused_and_named(ana_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['failed'][0].pk}/retry"
    assert list(problem(ana_api.send(path, {"status": "completed"}), 422)["errors"]) == ["status"]


def test_a_missing_reason_is_refused_in_the_verbs_own_sentence(ana_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['failed'][0].pk}/archive"
    assert (
        problem(ana_api.send(path, {"reason": " "}), 422)["detail"] == "Archive needs a reason. Say in a few words why."
    )


def test_a_note_is_kept_with_the_run(ana_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['failed'][0].pk}/retry"
    ana_api.send(path, {"note": "stage added"})
    run = ActionRun.objects.get(verb="retry")
    assert (run.given, run.actor_name, run.door) == ({"note": "stage added"}, "ana", "api")


def test_a_paced_verb_is_queued_with_its_pace(ana_api: Api, company: Company) -> None:
    body = {"filter": {"status": "failed"}, "pace": {"rate": 5, "canary": True, "stop_share": 0.5}}
    answer = ana_api.send(f"{ROOT}/retry", body)
    run = ana_api.get(answer["Location"]).json()
    assert (answer.status_code, run["status"], run["rate_per_second"]) == (202, "queued", 5)


def test_a_queued_run_is_paused_and_resumed_over_the_api(ana_api: Api, company: Company) -> None:
    where = ana_api.send(f"{ROOT}/retry", {"filter": {"status": "failed"}, "pace": {}})["Location"]
    assert ana_api.send(f"{where}/pause").json()["status"] == "paused"
    assert ana_api.send(f"{where}/resume").json()["status"] == "queued"


def test_who_only_looks_may_not_and_is_told_what_is_lacking(bia_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['failed'][0].pk}/retry"
    assert "operations.retry_pendingoperation" in problem(bia_api.send(path), 403)["detail"]


def test_a_row_tells_its_history(ana_api: Api, company: Company) -> None:
    path = f"{ROOT}/{company.operations['failed'][0].pk}"
    ana_api.send(f"{path}/retry")
    newest = ana_api.get(path).json()["history"][0]
    assert (newest["verb"], newest["to_status"], newest["actor"]) == ("retry", "pending", "ana")


def test_a_list_is_walked_to_its_end(ana_api: Api, company: Company) -> None:
    page = ana_api.get(f"{ROOT}?limit=4&status=pending,failed").json()
    ids = [row["id"] for row in page["items"]]
    while page["next"]:
        page = ana_api.get(page["next"]).json()
        ids += [row["id"] for row in page["items"]]
    assert len(ids) == 6
    assert ids == sorted(ids, reverse=True)


def test_an_action_run_lists_the_refused_rows_with_their_sentences(ana_api: Api, company: Company) -> None:
    run = ana_api.send(f"{ROOT}/reset", {"filter": {"status": "failed"}}).json()["action_run"]
    found = ana_api.get(f"/api/action-runs/{run}").json()
    assert found["refused_rows"][0]["id"] == str(company.operations["ambiguous"][0].pk)


def test_a_list_takes_the_same_few_queries_however_long(
    ana_api: Api, empty_company: Company, django_assert_max_num_queries: pytest.FixtureRequest
) -> None:
    empty_company.operations_of(50)
    ana_api.get("/api/me")
    with django_assert_max_num_queries(4):  # type: ignore[operator] # pytest-django's own
        assert len(ana_api.get(ROOT).json()["items"]) == PendingOperation.objects.count()
