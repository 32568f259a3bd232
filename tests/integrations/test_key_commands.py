import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.integrations.models import ApiKey
from tests.api import Api

pytestmark = pytest.mark.django_db


def generated(**options: str) -> tuple[str, str]:
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
