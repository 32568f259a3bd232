import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

COMPOSE: dict[str, Any] = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.yml").read_text())
QA: dict[str, Any] = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.qa.yml").read_text())
OURS = {"web", "worker", "jobs", "ticker", "beat", "migrate"}
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


def test_every_container_that_serves_is_checked() -> None:
    unchecked = {name for name in COMPOSE["services"] if not _checked(COMPOSE["services"][name])}
    assert unchecked == {"beat", "migrate"}  # beat's heartbeat is a row, and migrate ends


def _checked(service: dict[str, Any]) -> bool:
    image = Path(settings.BASE_DIR, "Dockerfile").read_text()
    check = service.get("healthcheck", {"test": "HEALTHCHECK" in image and service["image"] == "opsconsole"})
    return bool(check.get("test")) and not check.get("disable")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_comes_back_and_has_time_to_stop(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service.get("init") is True or name in ("postgres", "redis")  # those two take signals as process 1
    assert "stop_grace_period" in service or name in ("beat", "migrate", "redis")  # nothing of theirs takes time


def test_a_worker_has_more_time_to_stop_than_its_tasks_take() -> None:
    seconds = int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds > settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT


def test_qa_says_that_it_is_qa_on_every_page_and_shares_no_secret() -> None:
    assert {name for name, service in QA["services"].items() if service.get("environment")} == OURS
    assert {service["environment"]["OPS_ENVIRONMENT"] for name, service in QA["services"].items() if name in OURS} == {
        "qa"
    }
    assert QA["secrets"].keys() == COMPOSE["secrets"].keys()
    files = [secret["file"] for told in (COMPOSE, QA) for secret in told["secrets"].values()]
    assert len(set(files)) == len(files)
    assert QA["name"] != COMPOSE.get("name", "opsconsole")


def test_what_qa_changes_is_something_that_production_has() -> None:
    assert QA["services"].keys() <= COMPOSE["services"].keys()


def test_every_secret_is_made_by_make() -> None:
    [names] = re.findall(r"for name in ([a-z_ ]+); do", Path(settings.BASE_DIR, "Makefile").read_text())
    assert set(names.split()) == COMPOSE["secrets"].keys()


def test_postgresql_asks_everybody_for_a_password() -> None:
    assert "--auth=scram-sha-256" in COMPOSE["services"]["postgres"]["environment"]["POSTGRES_INITDB_ARGS"]


def test_the_commands_of_the_documentation_are_there() -> None:
    named = set(re.findall(r"manage\.py (\w+)", DEPLOYING))
    assert named - set(get_commands()) == set()
