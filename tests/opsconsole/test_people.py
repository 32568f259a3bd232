from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

PEOPLE = "/admin/auth/user/"


@pytest.fixture
def page(client: Client, ana: User) -> Client:
    """Ana, who may also change users and groups."""
    names = [f"{verb}_{noun}" for verb in ("view", "add", "change", "delete") for noun in ("user", "group")]
    ana.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(ana)
    return client


def form(user: User, **changed: Any) -> dict[str, Any]:
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return {"username": user.username, "is_active": "on", "is_staff": "on", **dates, **changed}


def test_nobody_gives_themselves_rights(page: Client, ana: User) -> None:
    every = [permission.pk for permission in Permission.objects.all()]
    told = form(ana, is_superuser="on", user_permissions=every, first_name="Ana")
    assert page.post(f"{PEOPLE}{ana.pk}/change/", told).status_code == 302
    ana.refresh_from_db()
    assert (ana.first_name, ana.is_superuser, ana.user_permissions.count()) == ("Ana", False, 8)


def test_nobody_gives_another_a_group(page: Client, bia: User) -> None:
    supervisors = Group.objects.get(name="Supervisor")
    page.post(f"{PEOPLE}{bia.pk}/change/", form(bia, groups=[supervisors.pk]))
    assert list(bia.groups.values_list("name", flat=True)) == ["Viewer"]


def test_a_superuser_is_out_of_reach(page: Client, db: None) -> None:
    root = User.objects.create_superuser("root")
    assert page.post(f"{PEOPLE}{root.pk}/change/", form(root, is_active="")).status_code == 403


@pytest.mark.parametrize("name", ["root", "bia"])
def test_the_password_of_another_is_only_a_superuser_s_to_set(page: Client, bia: User, name: str) -> None:
    User.objects.create_superuser("root")
    key = User.objects.get(username=name).pk
    told = {"password1": "a-long-password-9", "password2": "a-long-password-9", "usable_password": "true"}
    assert page.post(f"{PEOPLE}{key}/password/", told).status_code == 403


def test_a_group_s_permissions_are_only_a_superuser_s_to_change(page: Client, db: None) -> None:
    viewers = Group.objects.get(name="Viewer")
    every = [permission.pk for permission in Permission.objects.all()]
    told = {"name": "Viewer", "permissions": every}
    assert page.post(f"/admin/auth/group/{viewers.pk}/change/", told).status_code == 403


def test_a_superuser_gives_groups(client: Client, bia: User) -> None:
    client.force_login(User.objects.create_superuser("root"))
    operators = Group.objects.get(name="Operator")
    client.post(f"{PEOPLE}{bia.pk}/change/", form(bia, groups=[operators.pk]))
    assert list(bia.groups.values_list("name", flat=True)) == ["Operator"]
