import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

COMPOSE: dict[str, Any] = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.yml").read_text())
DEPLOYING = Path(settings.BASE_DIR, "docs", "deploying.md").read_text()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_can_change_nothing_but_its_own_data(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_servers_are_reached_from_inside_only(name: str) -> None:
    assert COMPOSE["services"][name]["networks"] == ["inside"]
    assert "ports" not in COMPOSE["services"][name]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_the_web_is_published_to_its_own_host_only() -> None:
    assert [port.startswith("127.0.0.1:") for port in COMPOSE["services"]["web"]["ports"]] == [True]


def test_secrets_stand_in_files_only() -> None:
    named = {
        name: value
        for service in COMPOSE["services"].values()
        for name, value in service.get("environment", {}).items()
    }
    secret = {name: value for name, value in named.items() if re.search("PASSWORD|SECRET|PEPPER", name)}
    assert secret
    assert all(name.endswith("_FILE") and value.startswith("/run/secrets/") for name, value in secret.items())


def test_every_variable_the_settings_read_is_explained() -> None:
    source = Path(settings.BASE_DIR, "opsconsole", "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|secret|with_password)\(.*?"([A-Z_]{4,})"', source))
    assert read - set(re.findall(r"`([A-Z_]+)`", DEPLOYING)) == set()
