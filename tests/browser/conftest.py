"""Chromium on the live server. A missing browser fails these tests; they run last, for Playwright keeps a loop running."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Dialog, Locator, Page, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.opsconsole.machine import Machine, machine

PATIENCE_MS = 60_000
"""So long a page may take to become what it should be: the machine may be busy with other tests."""
READY = "Ctrl-C stops everything"
CHROMIUM = os.environ.get("OPS_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations", "incomplete"],
}
UNDECIDED = {"th-has-data-cells": "a list of one column has row headers and no other cell"}
"""Rules that axe may leave undecided, and why that is no fault of the page."""


@dataclass(frozen=True)
class Look:
    """A theme, a language and a width to look with."""

    theme: str = "light"
    language: str = "en"
    width: int = 1440

    def __str__(self) -> str:
        return f"{self.theme}-{self.language}-{self.width}"


@dataclass
class Screen:
    """A page under watch: what it complains of, whom it asks, and whether everybody can read it."""

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type in {"error", "warning"}, message.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("request", lambda request: self._note(self._foreign(request.url), f"asks {request.url}"))
        self.page.on("dialog", self._refuse)

    def _note(self, wrong: bool, words: str) -> None:
        if wrong:
            self.problems.append(words)

    def _refuse(self, dialog: Dialog) -> None:
        self._note(True, f"dialog {dialog.message}")
        dialog.dismiss()

    def _foreign(self, url: str) -> bool:
        return urlsplit(url).scheme in {"http", "https"} and not url.startswith(self.base)

    def open(self, path: str) -> Page:
        """Go to a path of the console and wait until it is loaded."""
        self.page.goto(self.base + path)
        return self.page

    def follow(self, link: Locator) -> None:
        """Press what leads to another page, and wait until that is loaded: a click alone may return while the old one stands."""
        with self.page.expect_navigation():
            link.click()

    def wear(self, theme: str) -> None:
        """Show the page in another theme, as the switch does."""
        self.page.evaluate(
            "theme => { document.documentElement.dataset.theme = theme;"
            " document.dispatchEvent(new Event('console:theme')) }",
            theme,
        )


def audit(screen: Screen) -> None:
    """Fail on any CSP report, script error or foreign request, and on any violation of WCAG 2.2 A or AA."""
    # Before axe, which writes styles of its own and so makes reports that are not ours.
    assert screen.problems == []
    found: dict[str, Any] = Axe().run(screen.page, options=RULES).response
    screen.problems.clear()
    undecided = [rule for rule in found["incomplete"] if rule["id"] not in UNDECIDED]
    assert [told(rule) for rule in found["violations"] + undecided] == []


def told(rule: dict[str, Any]) -> str:
    """Return what axe found, in a line."""
    nodes = [f"{node['html'][:160]}: {[each['message'] for each in node['any']]}" for node in rule["nodes"][:3]]
    return f"{rule['id']}: {nodes}"


def keep(page: Page, name: str, *, whole: bool = True) -> None:
    """Leave a picture where OPS_SCREENSHOTS says; `make screenshots` makes those of the documents."""
    if folder := os.environ.get("OPS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder, and put it last: first the long walks through the demo, so that none is waited for."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if "browser" not in item.keywords:
        return 0
    return 1 if "demo" in getattr(item, "fixturenames", ()) else 2


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    # Playwright keeps an event loop in this thread; Django would refuse every query in it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """What `make run` starts, once for all who look at it: each leaves its own failures behind, and the CRM whole."""
    with machine(tmp_path_factory.mktemp("demo") / "data") as up:
        up.hear(READY)
        yield up
        up.end(signal.SIGKILL)  # it leaves no orphan (test_up.py), and nobody waits for its workers


@pytest.fixture(autouse=True)
def _gallery(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.browser.gallery"


@pytest.fixture
def look() -> Look:
    return Look()


@pytest.fixture
def context(chromium: Browser, live_server: LiveServer, look: Look) -> Iterator[BrowserContext]:
    height = 900 if look.width > 800 else 844
    context = chromium.new_context(viewport={"width": look.width, "height": height}, reduced_motion="reduce")
    for name, value in {"theme": look.theme, "django_language": look.language}.items():
        context.add_cookies([{"name": name, "value": value, "url": live_server.url}])
    yield context
    context.close()


@pytest.fixture
def stranger(context: BrowserContext, live_server: LiveServer) -> Screen:
    """The screen of someone who has not signed in."""
    return Screen(context.new_page(), live_server.url)


@pytest.fixture
def screen(stranger: Screen, context: BrowserContext, client: Client, admin_user: User) -> Screen:
    """The screen of someone who may do everything."""
    client.force_login(admin_user)
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": stranger.base}])
    return stranger
