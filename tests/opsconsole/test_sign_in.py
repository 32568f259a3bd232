import importlib
import sys

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from opsconsole import sign_in
from opsconsole.development import DevelopmentError, up
from opsconsole.sign_in import sign_in_path


@pytest.fixture
def ana(db: None) -> User:
    return User.objects.create_superuser("ana", password="correct horse battery")


def test_the_link_signs_in(ana: User, client: Client) -> None:
    client.post(sign_in_path(ana))
    assert client.get("/admin/").wsgi_request.user == ana


def test_looking_at_the_link_does_not_use_it_up(ana: User, client: Client) -> None:
    path = sign_in_path(ana)
    assert b"signs you in once, as ana" in client.get(path).content
    assert "_auth_user_id" not in client.session
    assert client.post(path).status_code == 302


def test_the_link_works_once(ana: User, client: Client) -> None:
    path = sign_in_path(ana)
    client.post(path)
    assert Client().post(path).status_code == 410


def test_an_old_link_does_not_work(ana: User, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "SECONDS", -1)
    assert client.post(sign_in_path(ana)).status_code == 410


def test_a_changed_link_does_not_work(ana: User, client: Client) -> None:
    assert client.post(f"/sign-in/x{sign_in_path(ana).removeprefix('/sign-in/')}").status_code == 410


def test_a_closed_account_is_not_let_in(ana: User, client: Client) -> None:
    path = sign_in_path(ana)
    User.objects.update(is_active=False)
    assert client.post(path).status_code == 410


def test_the_button_wants_a_token_of_the_page(ana: User) -> None:
    assert Client(enforce_csrf_checks=True).post(sign_in_path(ana)).status_code == 403


def test_production_has_no_such_link(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PRODUCTION = True
    monkeypatch.delitem(sys.modules, "opsconsole.urls")
    production = importlib.import_module("opsconsole.urls")
    assert "sign-in" not in [getattr(route, "name", "") for route in production.urlpatterns]


def test_production_is_not_started_by_up(settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(DevelopmentError, match=r"docs/deploying\.md says how"):
        up(print)
