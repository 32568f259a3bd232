import pytest
from django.test import Client, RequestFactory
from django.views.defaults import server_error
from pytest_django import Settings

pytestmark = pytest.mark.django_db


def test_a_page_that_does_not_exist_says_what_to_do(client: Client) -> None:
    answer = client.get("/nowhere/")
    assert answer.status_code == 404
    assert b"To the home page" in answer.content


def test_a_form_without_its_token_is_refused_in_a_sentence() -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "ana"})
    assert answer.status_code == 403
    assert b"nothing was done" in answer.content


def test_a_failure_of_ours_is_a_page_too(rf: RequestFactory) -> None:
    answer = server_error(rf.get("/"))
    assert answer.status_code == 500
    assert b"Something went wrong on our side" in answer.content


def test_times_are_shown_where_staff_live(client: Client) -> None:
    assert b"Times are in America/Sao_Paulo" in client.get("/admin/login/").content


def test_every_page_says_that_the_far_ends_are_played(client: Client, settings: Settings) -> None:
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    assert b"Simulated far end" in client.get("/admin/login/").content


def test_the_language_is_switched_by_a_post(client: Client) -> None:
    client.post("/i18n/setlang/", {"language": "pt-br", "next": "/admin/login/"})
    assert b'<html lang="pt-br"' in client.get("/admin/login/").content


def test_a_page_allows_nothing_inline(client: Client) -> None:
    policy = client.get("/admin/login/").headers["Content-Security-Policy"]
    assert {"script-src 'self'", "style-src 'self'", "default-src 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
