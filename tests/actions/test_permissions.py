import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission

from apps.actions.actors import SYSTEM, Actor, Door
from apps.actions.permissions import ship_permissions
from apps.actions.running import run
from apps.actions.verbs import NotPermitted, looked_at, nouns, verbs_of
from apps.operations.models import PendingOperation
from tests.cast import Company, ticked


def codenames(group: str) -> set[str]:
    return set(Group.objects.get(name=group).permissions.values_list("codename", flat=True))


def migrate_again() -> None:
    for config in apps.get_app_configs():
        ship_permissions(sender=config)


def test_every_verb_has_its_permission(db: None) -> None:
    wanted = {verb.codename for model in nouns() for verb in verbs_of(model).values()}
    assert wanted <= set(Permission.objects.values_list("codename", flat=True))


def test_a_supervisor_may_take_every_verb(db: None) -> None:
    assert {verb.codename for model in nouns() for verb in verbs_of(model).values()} <= codenames("Supervisor")


def test_an_operator_may_take_the_verbs_that_are_not_dangerous(db: None) -> None:
    assert "retry_pendingoperation" in codenames("Operator")
    assert "send_again_pendingoperation" not in codenames("Operator")


def test_a_supervisor_changes_policy_and_nobody_else_does(db: None) -> None:
    policy = {f"change_{model._meta.model_name}" for model in nouns() if model.policy}
    assert {"change_service", "change_circuitbreaker", "change_queue", "change_tenant"} <= policy
    assert policy <= codenames("Supervisor")
    assert not policy & codenames("Operator")


def test_a_viewer_may_only_look(db: None) -> None:
    assert codenames("Viewer") == {
        "read_logs",
        *(f"view_{model._meta.model_name}" for model in [*nouns(), *looked_at()]),
    }


def test_what_staff_took_from_a_group_stays_taken(db: None) -> None:
    Group.objects.get(name="Operator").permissions.remove(Permission.objects.get(codename="retry_pendingoperation"))
    migrate_again()
    assert "retry_pendingoperation" not in codenames("Operator")


def test_a_view_that_staff_took_from_all_groups_stays_taken(db: None) -> None:
    view = Permission.objects.get(codename="view_pendingoperation")
    view.group_set.clear()
    migrate_again()
    assert not view.group_set.exists()


def test_a_new_verb_is_handed_to_the_shipped_groups(db: None) -> None:
    Permission.objects.get(codename="retry_pendingoperation").delete()
    migrate_again()
    assert "retry_pendingoperation" in codenames("Operator")


def test_bia_may_look_but_not_retry(company: Company, as_bia: Actor) -> None:
    with pytest.raises(NotPermitted) as refused:
        run(PendingOperation.retry, ticked(company.operations["failed"][0]), as_bia)
    assert str(refused.value) == (
        "bia may not retry pending operations. Ask a supervisor for the permission operations.retry_pendingoperation."
    )


def test_caio_may_not_even_look(company: Company, as_caio: Actor) -> None:
    assert not PendingOperation.objects.visible_to(as_caio).exists()


def test_a_key_acts_with_its_grants_and_no_others(company: Company) -> None:
    grants = frozenset({"operations.view_pendingoperation", "operations.retry_pendingoperation"})
    key = Actor(door=Door.API, name="shop", grants=grants)
    record = run(PendingOperation.retry, ticked(company.operations["failed"][0]), key)
    assert (record.actor, record.actor_name, record.door) == (None, "shop", Door.API)
    with pytest.raises(NotPermitted):
        run(PendingOperation.archive, ticked(company.operations["failed"][1]), key, given={"reason": "x"})


def test_the_system_may_everything(company: Company) -> None:
    assert run(PendingOperation.retry, ticked(company.operations["failed"][0]), SYSTEM).actor_name == "system"
