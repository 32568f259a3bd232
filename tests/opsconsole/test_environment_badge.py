import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

BADGE = re.compile(r'<span class="where" data-kind="(\w+)"><span class="unseen">Environment </span>([^<]*)</span>')


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("production", "production", "Production"),
        ("qa", "trial", "QA"),
        ("homologação", "trial", "homologação"),
        ("development", "development", "Development"),
    ],
)
def test_every_page_says_in_a_word_and_a_colour_where_it_is(
    client: Client, ana: User, settings: Settings, name: str, kind: str, word: str
) -> None:
    settings.ENVIRONMENT = name
    client.force_login(ana)
    for address in ("/admin/", "/admin/operations/pendingoperation/", "/nowhere"):
        assert BADGE.findall(client.get(address).content.decode()) == [(kind, word)], address


def test_the_page_of_sign_in_says_so_before_anybody_is_in(client: Client, db: None, settings: Settings) -> None:
    settings.ENVIRONMENT = "qa"
    assert BADGE.findall(client.get("/admin/login/").content.decode()) == [("trial", "QA")]
