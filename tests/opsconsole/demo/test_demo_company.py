from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Count
from django.test import Client
from pytest_django import Settings

from apps.actions.models import ActionRun
from apps.deadletters.models import DeadLetter
from apps.integrations import keys
from apps.integrations.models import ApiKey, CircuitBreaker, Service
from apps.jobs.models import JobRun, Queue, Tenant
from apps.operations import confirming
from apps.operations.models import PendingOperation
from apps.syncs.models import Customer, RejectedRecord
from tests.opsconsole.demo.conftest import OPERATIONS
from tests.simulator_process import Simulator


def rows() -> dict[str, int]:
    """How many rows each table has."""
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def test_a_second_making_changes_nothing(seeded: Simulator) -> None:
    before, calls = rows(), seeded.ask("GET", "state")
    call_command("demo")
    assert (rows(), seeded.ask("GET", "state")) == (before, calls)


def test_its_failures_are_of_these_classes(seeded: Simulator) -> None:
    unresolved = DeadLetter.objects.filter(status="unresolved").order_by()
    found = dict(unresolved.values_list("failure_class").annotate(Count("fingerprint")))
    assert found == {"permanent_data": 39, "ambiguous": 4, "poison": 1, "credential": 1}


def test_behind_a_rotated_token_work_waits_and_loses_no_attempt(seeded: Simulator) -> None:
    waiting = PendingOperation.objects.filter(failure_class="credential", status="pending", attempts=0).count()
    breaker = CircuitBreaker.objects.get(service__slug="erp")
    assert (waiting, breaker.status, breaker.reason) == (5, "open", "Answered 401: Unauthorized")


def test_the_home_page_tells_every_cause(as_operator: Client) -> None:
    home: dict[str, Any] = as_operator.get("/admin/").context["home"]
    assert [group["count"] for group in home["failures"]] == [5, 38, 4, 1, 1, 1]


def test_two_tenants_were_read_last_night_and_one_was_refused(seeded: Simulator) -> None:
    runs = dict(JobRun.objects.filter(job__slug="erp-sync").values_list("tenant__slug", "status"))
    assert runs == {"aurora": "succeeded", "brisa": "succeeded", "cedro": "failed"}
    assert Customer.objects.count() == 900 + 240 - 1
    assert RejectedRecord.objects.get().tenant == Tenant.objects.get(slug="brisa")


def test_one_queue_is_on_hold_with_a_reason(seeded: Simulator) -> None:
    held = Queue.objects.get(status="paused")
    waiting = PendingOperation.objects.filter(queue=held, status="pending").count()
    assert (held.slug, bool(held.paused_reason), waiting) == ("statements", True, 12)


def test_a_day_was_delivered_in_the_order_of_its_ids(seeded: Simulator) -> None:
    done = PendingOperation.objects.filter(status="completed").order_by("id")
    moments = list(done.values_list("created_at", flat=True))
    assert len(moments) > OPERATIONS * 0.8
    assert moments == sorted(moments)


def test_nothing_happened_before_it_was_handed_in(seeded: Simulator) -> None:
    done = PendingOperation.objects.filter(status="completed")
    assert not [row for row in done if not row.completed_at or row.completed_at < row.created_at]


def test_what_was_sent_twice_is_there_once_under_one_key(seeded: Simulator) -> None:
    twice = PendingOperation.objects.filter(status="completed", operation_type="deal.create", attempts=2)
    entries = [seeded.entry(f"opsconsole:{row.pk}") for row in twice]
    assert {(entry["created"], entry["keys"]) for entry in entries} == {(1, 1)}
    assert max(entry["calls"] for entry in entries) == 2


def test_every_record_in_the_crm_can_be_opened(seeded: Simulator) -> None:
    links = PendingOperation.objects.filter(status="completed", service__slug="piperun").values_list("remote_url")
    newest = links.order_by("-id")[0][0]
    assert seeded.session.get(newest, timeout=5).status_code == 200


def test_the_far_end_knows_which_ambiguous_ones_happened(seeded: Simulator) -> None:
    unsure = PendingOperation.objects.filter(failure_class="ambiguous", status="failed").order_by("id")
    unsure.update(confirm_asked_at=unsure[0].created_at)
    confirming.answer_asked()
    assert list(unsure.values_list("confirm_found", flat=True)) == [True, True, False, False]


def test_ana_retried_some_earlier_and_all_of_them_arrived(seeded: Simulator) -> None:
    retried = ActionRun.objects.get(verb="retry")
    assert (retried.actor_name, retried.status, retried.moved, retried.confirmed) == ("ana", "finished", 9, 9)


def test_the_demo_key_acts_as_an_operator(seeded: Simulator, settings: Settings) -> None:
    key = keys.find((settings.DATA_DIR / "demo-api-key").read_text().strip())
    assert isinstance(key, ApiKey)
    assert key.group.name == "Operator"


def test_ana_and_bia_sign_in_with_the_administrators_password(seeded: Simulator) -> None:
    people = User.objects.filter(username__in=("ana", "bia"), is_staff=True)
    assert [person.check_password("made once, for the demo") for person in people] == [True, True]


def test_the_services_follow_a_simulator_that_took_another_port(seeded: Simulator, settings: Settings) -> None:
    settings.SIMULATOR_URL = "http://127.0.0.1:7"
    call_command("demo")
    addresses = Service.objects.values_list("base_url", flat=True)
    assert all(address.startswith("http://127.0.0.1:7/") for address in addresses)
