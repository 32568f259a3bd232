"""An outage as Ana lives it: a family grows, the breaker opens, one probe closes it, a canaried retry is confirmed.

`make run`'s own processes do the work and the simulator is broken from its control door. `make screenshots` keeps pictures.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS, Look, Screen, audit, keep
from tests.opsconsole.machine import Machine

LOOKS = [Look("dark", "pt-br", 390), Look("light", "pt-br", 390), Look("light", "en", 1280)]
"""The last is Ana's own."""
REFUSAL = "O usuário responsável está inativo."
REFUSED = {"success": False, "message": [], "data": {"owner_id": [REFUSAL]}}
PERSONS, MORE, BEHIND = 18, 6, 40


class Outside:
    """The company's systems that hand work in, and the CRM that is broken and mended."""

    def __init__(self, demo: Machine) -> None:
        said = "".join(demo.said)
        self.url = f"http://localhost:{demo.port}"
        self.control = re.findall(r"simulator at (\S+)", said)[0] + "/__sim__"
        self.key = re.findall(r"API key +(\S+)", said)[0]
        self.password = re.findall(r"password (\S+)", said)[0]

    def hand_in(self, noun: str, count: int) -> None:
        """Hand in so many new persons or companies over the API."""
        names = [{"name": f"Cliente {noun} {number}"} for number in range(count)]
        rows = [{"operation_type": f"{noun}.create", "payload": name, "service": "crm"} for name in names]
        url = f"{self.url}/api/pending-operations/bulk"
        answer = requests.post(url, json={"operations": rows}, headers={"X-API-Key": self.key}, timeout=60)
        assert answer.status_code == 202, answer.text

    def refuse_persons(self, **which: Any) -> None:
        """Answer 422 to new persons: their owner's account was locked."""
        self._fault(effect="answer", status=422, body=REFUSED, path="/v1/persons", method="POST", **which)

    def lose_companies(self, count: int) -> None:
        """Make so many companies and lose the answers; their list cannot be read, so nobody knows whether they are there."""
        self._fault(effect="lose_answer", path="/v1/companies", method="POST", times=count)
        self._fault(effect="garbage", kind="html", path="/v1/companies", method="GET", times=count)

    def fail(self) -> None:
        """Answer 503 to everything."""
        self._tell("POST", "outage", {"service": "piperun", "on": True})

    def recover(self) -> None:
        """Answer everything, as on a good day."""
        self._tell("POST", "outage", {"service": "piperun", "on": False})
        self._tell("DELETE", "faults")

    def doubles(self) -> object:
        """Return what the CRM has done twice."""
        return self._tell("GET", "ledger?service=piperun")["doubles"]

    def _fault(self, **fault: Any) -> None:
        self._tell("POST", "faults", {"service": "piperun", **fault})

    def _tell(self, method: str, door: str, body: object = None) -> dict[str, Any]:
        answer = requests.request(method, f"{self.control}/{door}", json=body, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())


@pytest.fixture
def outside(demo: Machine) -> Iterator[Outside]:
    outside = Outside(demo)
    yield outside
    outside.recover()


@pytest.fixture
def ana(outside: Outside, chromium: Browser) -> Iterator[Screen]:
    """The screen of Ana, who signed in with her password and has put the tour away."""
    context = chromium.new_context(viewport={"width": 1280, "height": 820}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    screen = Screen(context.new_page(), outside.url)
    page = screen.open("/admin/")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(outside.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Put it away").wait_for()
    keep(page, "home", whole=False)
    page.get_by_role("button", name="Put it away").click()
    expect(page.locator("#guide-title")).to_have_count(0)
    yield screen
    context.close()


def look_closely(screen: Screen, name: str = "") -> None:
    """Keep a picture, where it has a name, and look at the page in each language, theme and width: nothing is cut off, everybody can read it."""
    page = screen.page
    if name:
        keep(page, name, whole=False)
    for look in LOOKS:
        page.context.add_cookies([{"name": "django_language", "value": look.language, "url": screen.base}])
        page.set_viewport_size({"width": look.width, "height": 820})
        if page.locator("html").get_attribute("lang") != look.language:
            page.reload()
        screen.wear(look.theme)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        audit(screen)


def number(found: Locator) -> int:
    """Return the first number in what is said."""
    return int(re.findall(r"\d[\d,]*", found.inner_text())[0].replace(",", ""))


def press(page: Page, label: str | re.Pattern[str]) -> None:
    """Press a button that leads to a preview."""
    page.get_by_role("button", name=label).first.click()


def confirm(page: Page, note: str = "") -> None:
    """Do what the preview foresees."""
    page.get_by_label("Note").fill(note)
    page.locator("form.ask button.primary").click()


def until(page: Page, found: Locator) -> Locator:
    """Read the page again until it says this, as one does who waits at a page that does not move by itself."""
    for _reading in range(60):
        if found.count():
            return found
        page.wait_for_timeout(1000)
        page.reload()
    raise AssertionError(f"never read {found}")


def cause_of(page: Page, words: str) -> Locator:
    return page.locator(".failure", has_text=words)


def test_an_outage_is_seen_owned_waited_out_and_mended(ana: Screen, outside: Outside) -> None:
    page = ana.page
    grows(ana, outside)
    family = owned(ana)
    opens(ana, outside)
    closes(ana, outside)
    page.goto(family)
    retried(ana)
    page.goto(family)
    worked(ana, outside)
    counted(ana)
    assert outside.doubles() == []


def grows(ana: Screen, outside: Outside) -> None:
    """Two families come to the home page, and one grows while it is looked at."""
    outside.refuse_persons()
    outside.lose_companies(2)
    outside.hand_in("person", PERSONS)
    outside.hand_in("company", 2)
    expect(cause_of(ana.page, "company.create")).to_contain_text("It may have arrived")
    count = cause_of(ana.page, REFUSAL).locator(".count")
    expect(count).to_have_text(re.compile(r"1[89]|[2-9]\d"))
    before = number(count)
    outside.hand_in("person", MORE)
    expect(count).to_have_text(re.compile(rf"^Show (?!{before} )\d+"))
    assert number(count) > before
    look_closely(ana, "first-trouble-home")


def owned(ana: Screen) -> str:
    """Ana opens the family and takes it on."""
    page = ana.page
    cause_of(page, REFUSAL).get_by_role("link", name="Family").click()
    press(page, "Acknowledge")
    page.get_by_label("Owner").select_option("ana")
    confirm(page, "Asked sales who locked the account.")
    expect(page.locator("h1 ~ .state, .state", has_text="acknowledged").first).to_be_visible()
    look_closely(ana, "first-trouble-family")
    return page.url


def opens(ana: Screen, outside: Outside) -> None:
    """The CRM fails whole: the breaker opens, and its page counts down and says what waits and for how long."""
    page = ana.page
    outside.fail()
    outside.hand_in("person", BEHIND)
    ana.open("/admin/")
    piperun = page.locator("#services li", has_text="Piperun")
    expect(piperun.locator(".state")).to_have_text("open")
    piperun.get_by_role("link").click()
    expect(page.get_by_role("timer")).to_be_visible()
    expect(page.locator("#breaker-live")).to_contain_text(re.compile(r"they would be out in about \d+"))
    look_closely(ana, "first-trouble-breaker")


def closes(ana: Screen, outside: Outside) -> None:
    """The CRM is back: a reset lets one probe decide, and the page watches what follows."""
    page = ana.page
    # Its own probe must not come between: it goes out every 15 s.
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^1\d s"))
    press(page, "Reset")
    outside.recover()
    confirm(page, "Their status page is green again.")
    breaker = page.locator("#breaker-live")
    expect(breaker.locator(".stand .state")).to_have_text("closed")
    expect(breaker).to_contain_text("Reset by ana")
    expect(breaker.locator(".tile", has_text="Waiting behind it").locator(".value")).to_have_text(re.compile(r"^\d$"))
    look_closely(ana, "first-trouble-closed")


def retried(ana: Screen) -> None:
    """Ana reads what a retry of the whole family would do, lets a canary go first, and reads the score."""
    page = ana.page
    press(page, re.compile(r"^Retry \d+"))
    expect(page.get_by_text(re.compile(r"\d+ calls to piperun: \d+ person.create"))).to_be_visible()
    expect(page.get_by_label("One, then ten, then the rest")).to_be_checked()
    count = number(page.locator("form.ask button.primary"))
    look_closely(ana, "first-trouble-preview")
    confirm(page, "The account is active again.")
    expect(page.locator("#run-live .stand")).to_have_text("finished")
    expect(page.locator(".figures [data-state=confirmed] dd")).to_have_text(str(count))
    look_closely(ana, "first-trouble-run")
    ana.follow(page.locator(".figures [data-state=confirmed] dd a"))
    assert listed(ana) == count


def worked(ana: Screen, outside: Outside) -> None:
    """It happens once more: the family says what worked last time, and offers it as one button."""
    page = ana.page
    outside.refuse_persons(times=1)
    outside.hand_in("person", 1)
    again = until(page, page.get_by_role("button", name="Do it again: Retry 1"))
    expect(page.locator(".members")).to_contain_text("The account is active again.")
    look_closely(ana)
    again.click()
    confirm(page)
    expect(page.get_by_text("Retry: 1 row moved.")).to_be_visible()
    until(page, page.locator(".tile", has_text="Retrying").locator(".value", has_text=re.compile(r"^0$")))


def counted(ana: Screen) -> None:
    """Each number of the dashboard leads to exactly the rows that it counts."""
    ana.open("/admin/dashboard/")
    look_closely(ana)
    for label in ("Failed today", "Dead letters"):
        tile = ana.open("/admin/dashboard/").locator(".tile", has_text=label)
        count = number(tile.locator(".value"))
        ana.follow(tile.get_by_role("link"))
        assert listed(ana) == count


def listed(ana: Screen) -> int:
    """Return how many rows a list shows, over all its pages."""
    page = ana.page
    rows, older = page.locator("#result_list tbody tr"), page.get_by_role("link", name="Older")
    expect(rows.first).to_be_visible()
    count = rows.count()
    while older.count():
        ana.follow(older)
        count += rows.count()
    return count
