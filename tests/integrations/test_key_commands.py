import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.integrations.models import ApiKey
from tests.api import Api

pytestmark = pytest.mark.django_db


def generated(**options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("generate_api_key", **options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_key_is_printed_once_alone_on_its_line_and_opens_the_api() -> None:
    out, err = generated(name="erp", group="Operator")
    key = out.strip()
    assert Client(headers={"X-API-Key": key}).get("/api/me").json()["name"] == "erp"
    assert key not in err


def test_a_key_acts_with_its_groups_permissions() -> None:
    out, _err = generated(name="monitor", group="viewer")
    permissions = Api(out.strip()).get("/api/me").json()["permissions"]
    assert "operations.view_pendingoperation" in permissions
    assert "operations.retry_pendingoperation" not in permissions


def test_an_unknown_group_is_refused_with_the_nearest() -> None:
    with pytest.raises(CommandError, match=r"did you mean Viewer\?|known"):
        generated(name="erp", group="Viewers")


@pytest.mark.parametrize("name", ["", "x" * 121])
def test_a_key_needs_a_name(name: str) -> None:
    with pytest.raises(CommandError, match="1 to 120"):
        generated(name=name, group="Viewer")


def test_a_revoked_key_opens_nothing_and_says_why(ana_api: Api) -> None:
    key = ApiKey.objects.get(name="ana")
    call_command("revoke_api_key", id=str(key.pk), reason="found in a log", stdout=io.StringIO())
    key.refresh_from_db()
    assert (key.status, key.revoked_reason) == ("revoked", "found in a log")
    assert ana_api.get("/api/me").status_code == 401


def test_a_key_is_revoked_once(ana_api: Api) -> None:
    key = ApiKey.objects.get(name="ana")
    call_command("revoke_api_key", id=str(key.pk), reason="found in a log", stdout=io.StringIO())
    with pytest.raises(CommandError, match="is revoked"):
        call_command("revoke_api_key", id=str(key.pk), reason="again", stdout=io.StringIO())


def test_a_key_is_made_as_runbook_1_writes_it() -> None:  # S1-89
    out, err = generated(name="Sistema X")
    assert Api(out.strip()).get("/api/me").json()["name"] == "Sistema X"
    assert "Operator" in err


def test_a_key_is_made_with_scopes_and_an_end() -> None:
    generated(name="erp", scope=["pending-operations:add", "*:view"], expires="90d")
    key = ApiKey.objects.get()
    assert key.scopes == ["*:view", "pending-operations:add"]
    assert key.expires_at is not None


@pytest.mark.parametrize("when", ["tomorrow", "2026-13-01", "9", "-1d", "2020-01-01"])
def test_an_end_that_is_none_is_refused(when: str) -> None:
    with pytest.raises(CommandError, match=r"--expires takes|in the future"):
        generated(name="erp", expires=when)
    assert not ApiKey.objects.exists()


def test_an_unknown_scope_is_refused_with_the_nearest() -> None:
    with pytest.raises(CommandError, match="did you mean retry"):
        generated(name="erp", scope=["pending-operations:retri"])


def test_a_key_in_use_is_closed_only_on_purpose(ana_api: Api) -> None:  # S1-90
    ana_api.get("/api/me", REMOTE_ADDR="10.1.2.3")
    key, err = ApiKey.objects.get(name="ana"), io.StringIO()
    with pytest.raises(CommandError, match="Update these systems first"):
        call_command("revoke_api_key", id=str(key.pk), stdout=io.StringIO(), stderr=err)
    assert "from 10.1.2.3" in err.getvalue()
    call_command("revoke_api_key", id=str(key.pk), yes=True, stdout=io.StringIO(), stderr=err)
    assert ana_api.get("/api/me").status_code == 401


def test_rotation_prints_the_successor_alone_on_its_line(ana_api: Api) -> None:
    key, out, err = ApiKey.objects.get(name="ana"), io.StringIO(), io.StringIO()
    call_command("rotate_api_key", id=str(key.pk), stdout=out, stderr=err)
    assert Api(out.getvalue().strip()).get("/api/me").json()["name"] == "ana"
    assert str(key) in err.getvalue()
    assert out.getvalue().strip() not in err.getvalue()


def test_ops_shows_a_successor_too(ana_api: Api) -> None:
    key, out = ApiKey.objects.get(name="ana"), io.StringIO()
    call_command("ops", "rotate", "api-keys", str(key.pk), "--yes", stdout=out, stderr=io.StringIO())
    assert Api(out.getvalue().splitlines()[-1]).get("/api/me").json()["name"] == "ana"
