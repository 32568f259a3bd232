import pytest

from apps.jobs import growth
from apps.jobs.models import RetentionPolicy, TableSize
from tests.browser.conftest import Look, Screen, audit, keep
from tests.jobs.aged import ago, event, letter, policy, purge

DESK = "/admin/jobs/retentionpolicy/"
looks = pytest.mark.parametrize("look", [Look(), Look(language="pt-br"), Look(width=390)], ids=str)


@pytest.fixture
def aged(transactional_db: None) -> None:
    """Rows that go and rows that stay, a purge that has been, and two days on record."""
    event(60)
    purge("processed-events")
    event(50)
    letter(78)
    for days in (0, 10):
        for table in [*growth.tables(), growth.WHOLE]:
            row, _made = TableSize.objects.get_or_create(
                table=table, day=ago(days).date(), defaults={"rows": 0, "bytes": 0}
            )
            TableSize.objects.filter(pk=row.pk).update(rows=9000 - 400 * days, bytes=(90 - 4 * days) * 1024**2)


def readable(screen: Screen, path: str, name: str) -> None:
    page = screen.open(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for theme in ("light", "dark"):
        screen.wear(theme)
        keep(page, f"{name}-{theme}")
        audit(screen)


@looks
def test_the_desk_and_a_policy_are_readable(screen: Screen, aged: None, look: Look) -> None:
    readable(screen, DESK, f"retention-{look}")
    readable(screen, f"{DESK}{policy('completed-operations').pk}/change/", f"policy-{look}")
    readable(screen, f"{DESK}verbs/purge/?id={policy('processed-events').pk}", f"dry-run-{look}")


@looks
def test_an_archived_row_says_readably_when_it_goes(screen: Screen, aged: None) -> None:
    readable(screen, "/admin/deadletters/deadletter/?status=archived", "archived")


def test_a_policy_is_held_and_released_and_purged(screen: Screen, aged: None) -> None:
    page = screen.open(f"{DESK}{policy('processed-events').pk}/change/")
    page.get_by_role("button", name="Hold").click()
    page.get_by_label("Reason").fill("audit")
    page.get_by_role("button", name="Hold 1 retention policy").click()
    page.get_by_text("Held: audit").wait_for()
    assert policy("processed-events").status == RetentionPolicy.Status.HELD
    screen.follow(page.get_by_role("button", name="Release"))
    page.get_by_role("link", name="Dry run").click()
    page.get_by_text("Processed events: 1 would go").wait_for()
    page.get_by_role("button", name="Purge now 1 retention policy").click()
    page.get_by_text("Purge now: 1 row moved.").wait_for()
    audit(screen)
