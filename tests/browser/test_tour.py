"""The first five minutes as a visitor has them: what `make run` starts, Chromium, and the guided strip pressed through."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from tests.browser.conftest import PATIENCE_MS, Look, Screen, audit
from tests.opsconsole.machine import Machine

LOOKS = [Look("dark", "pt-br", 390), Look("light", "pt-br", 390), Look("dark", "en"), Look("light", "en")]
"""The last is the visitor's own."""


@pytest.fixture
def visitor(demo: Machine, chromium: Browser) -> Iterator[Screen]:
    context = chromium.new_context(reduced_motion="reduce")
    screen = Screen(context.new_page(), f"http://localhost:{demo.port}")
    screen.page.goto(next(line for line in demo.said if "/sign-in/" in line).split()[-1])
    screen.follow(screen.page.get_by_role("button"))
    yield screen
    context.close()


def look_closely(screen: Screen) -> None:
    """Look at the step in each language, theme and width; nothing is cut off and everybody can read it."""
    page = screen.page
    for look in LOOKS:
        page.context.add_cookies([{"name": "django_language", "value": look.language, "url": screen.base}])
        page.set_viewport_size({"width": look.width, "height": 900})
        if page.locator("html").get_attribute("lang") != look.language:
            page.reload()
        screen.wear(look.theme)
        expect(page.locator("#guide-title")).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        audit(screen)


def step(page: Page, title: str) -> Locator:
    """Wait, as a visitor does who presses nothing, until the strip says this."""
    found = page.locator("#guide-title", has_text=re.compile(title))
    found.wait_for(timeout=PATIENCE_MS)
    return found


def press(page: Page, label: str) -> None:
    page.locator("#guide").get_by_role("button", name=label).click()


def number(found: Locator) -> int:
    """Return the first number in what is said."""
    return int(re.findall(r"\d+", found.inner_text())[0])


def doubles(demo: Machine) -> list[object]:
    """Return what the far end has done twice."""
    address = re.search(r"simulator at (\S+)", "".join(demo.said))
    assert address
    ledger = requests.get(f"{address[1]}/__sim__/ledger", {"service": "piperun"}, timeout=30).json()
    return list(ledger["doubles"])


def test_the_tour_leads_from_a_broken_crm_to_every_retry_confirmed(visitor: Screen, demo: Machine) -> None:
    page = visitor.page
    step(page, "Break the CRM")
    look_closely(visitor)
    press(page, "Break the CRM")
    step(page, "The CRM is down")
    waiting = number(step(page, "The breaker is open, and the queue grows"))
    look_closely(visitor)
    step(page, f"the queue grows: (?!{waiting} )")
    press(page, "Mend the CRM")
    step(page, "one probe decides|Retry what failed")
    look_closely(visitor)
    with suppress(TimeoutError):  # the breaker's own probe may be quicker than the visitor
        page.get_by_role("button", name="Probe it now").click(timeout=1000)
    step(page, "Retry what failed, with a canary")
    look_closely(visitor)
    count = number(page.locator("#guide-go"))
    press(page, f"Retry {count}")
    step(page, f"of {count} confirmed")
    look_closely(visitor)
    step(page, f"{count} of {count} confirmed")
    look_closely(visitor)
    assert doubles(demo) == []
    page.get_by_role("link", name="See the run").click()
    expect(page.locator("#run-live .stand")).to_have_text("finished")
    audit(visitor)
