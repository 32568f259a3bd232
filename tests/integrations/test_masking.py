from typing import Any

import pytest

from apps.integrations.masking import masked, masked_headers, masked_text, masked_url, storable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: •••"),
        ("Set-Cookie: session=abc; Path=/", "Set-Cookie: •••; Path=/"),
        ("POST /x?token=abc123&limit=5", "POST /x?token=•••&limit=5"),
        ('{"token": "a\\"bc", "x": 1}', '{"token": •••, "x": 1}'),
        ("PIPERUN_API_TOKEN=0123456789abcdef", "PIPERUN_API_TOKEN=•••"),
        ("api_key=xyz; next", "api_key=•••; next"),
        ("sent Bearer abcdef123456 to them", "sent Bearer ••• to them"),
        ("https://user:pw@host/x", "https://•••@host/x"),
        ("O CPF 529.982.247-25 já existe", "O CPF ***.982.247-** já existe"),
        ("cpf 52998224725", "cpf ***982247**"),
        ("+55 31 98888-7777", "+55 31 9****-7777"),
        ("5531988887777", "55319****7777"),
        ("(31) 98888-7777", "(31) 9****-7777"),
        ("31 3888-7777", "31 ****-7777"),
        ("3133337777", "31****7777"),
        ("lead.one@dominio.com.br", "l***@d…"),
    ],
)
def test_what_is_secret_or_personal_is_hidden(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "1767700000", "1767700000000", "3f2a1111-2222-4333-8444-555555555555", "2026-01-20 10:00:00", "total_tokens: 15",
        "the token is expired", "deal 12345678 of stage 10", "1.500,00", "http://127.0.0.1:8000/deals/9001",
    ],
)  # fmt: skip
def test_what_is_neither_stays(text: str) -> None:
    assert masked_text(text) == text


def test_a_known_secret_is_hidden_wherever_it_is_echoed() -> None:
    assert masked_text("no user for abc-123", ["abc-123", ""]) == "no user for •••"


def test_the_secret_of_a_path_is_hidden() -> None:
    url = "https://api.z-api.io/instances/3C/token/SECRET/send-text?Client-Token=abc"
    assert masked_url(url) == "https://api.z-api.io/instances/3C/token/•••/send-text?Client-Token=•••"


def test_headers_are_hidden_but_for_the_harmless_ones() -> None:
    shown = masked_headers({"X-Api-Key": "abc", "Retry-After": "3", "X-RateLimit-Remaining": "9", "X-New": "abc"})
    assert shown == {"X-Api-Key": "•••", "Retry-After": "3", "X-RateLimit-Remaining": "9", "X-New": "•••"}


def test_json_is_masked_in_its_depth() -> None:
    data: dict[str, Any] = {
        "phone": 5531988887777,
        "list": [{"client_secret": {"a": 1}}, ("a@b.com",)],
        "n": 5,
        "on": True,
    }
    assert masked(data) == {
        "phone": "55319****7777",
        "list": [{"client_secret": "•••"}, ["a***@b…"]],
        "n": 5,
        "on": True,
    }


def test_what_postgresql_cannot_keep_is_replaced() -> None:
    assert storable("a\x00b\ud800c") == "a\ufffdb\ufffdc"
