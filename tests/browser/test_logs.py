import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Look, Screen, audit, keep
from tests.jobs.lines import said

LOGS, PATTERNS = "/admin/jobs/logline/", "/admin/jobs/logline/patterns/?level=warning"
in_each_language = pytest.mark.parametrize("look", [Look(language="en"), Look(language="pt-br")], ids=str)
on_a_phone = pytest.mark.parametrize("look", [Look(width=390), Look("dark", "pt-br", 320)], ids=str)


def morning() -> None:
    """Some lines of an hour at work, a long one and a hostile one among them."""
    for number in range(3):
        said(
            f"deal.create failed and was given up: POST https://crm.example.com/v1/deals 422 in {number}10 ms; missing stage_id",
            level=40,
            logger="apps.operations.settling",
            service="piperun",
            trace="4bf92f3577b34da6a3ce929d0e0e4736",
            kind="operations.pendingoperation",
            object_id="0192f0c1-2b3c-7def-8a90-0123456789ab",
        )
    said("nightly-erp started", logger="opsconsole.run", job_run="0192f0c1-2b3c-7def-8a90-0123456789ab", tenant="acme")
    said("The database does not answer; trying again.", level=30, fields={"seconds": 0.3, "x" * 60: "y" * 300})
    said(
        "<script>alert(1)</script> " + "w" * 400,
        level=40,
        traceback="Traceback (most recent call last):\n  File x\nValueError",
    )


@in_each_language
@pytest.mark.parametrize("path", [LOGS, PATTERNS, f"{LOGS}?phone=5511999998888"])
def test_the_log_is_readable_by_everybody(screen: Screen, path: str) -> None:
    morning()
    page = screen.open(path)
    for theme in ("light", "dark"):
        screen.wear(theme)
        audit(screen)
        keep(
            page,
            f"logs-{path.strip('/').replace('/', '-').replace('?', '-')}-{theme}-{page.evaluate('document.documentElement.lang')}",
        )


@in_each_language
def test_a_search_that_cannot_be_read_says_so_to_everybody(screen: Screen) -> None:
    page = screen.open(f"{LOGS}?level=eror")
    screen.problems.clear()  # the browser's own note that the page answers 422
    assert "error?" in page.get_by_role("alert").inner_text()
    audit(screen)


@on_a_phone
@pytest.mark.parametrize("path", [LOGS, PATTERNS])
def test_the_log_fits_a_phone(screen: Screen, path: str) -> None:
    morning()
    page = screen.open(path)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    audit(screen)
    keep(
        page,
        f"logs-phone-{'patterns' if 'patterns' in path else 'lines'}-{page.viewport_size['width'] if page.viewport_size else 0}",
    )


def live(screen: Screen) -> Page:
    screen.page.clock.install()
    said("the first line")
    return screen.open(LOGS)


def test_a_new_line_comes_by_itself(screen: Screen) -> None:
    page = live(screen)
    said("a line that came later")
    page.clock.run_for(2500)
    page.get_by_text("a line that came later").wait_for()
    assert screen.problems == []


def test_a_paused_page_stands_still_until_it_goes_on(screen: Screen) -> None:
    page = live(screen)
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    page.locator("h1").click()
    said("a line that came later")
    page.clock.run_for(5000)
    assert (pause.get_attribute("aria-pressed"), page.get_by_text("a line that came later").count()) == ("true", 0)
    pause.click()
    page.locator("h1").click()
    page.clock.run_for(2500)
    page.get_by_text("a line that came later").wait_for()


def test_the_search_leads_to_the_lines_of_a_phone_and_level(screen: Screen) -> None:
    morning()
    page = screen.open(LOGS)
    page.get_by_label("Text").fill("stage_id|database")
    page.get_by_label("Level").select_option("error")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**q=stage_id*")
    assert page.locator(".log > li").count() == 3
