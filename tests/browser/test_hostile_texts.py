"""S06: texts from outside that would run if a page took them for markup are shown as text on every page of the console.

`make hostile` opens the page of each row; the short form opens each kind of page once.
"""

import os
import re
from collections import Counter

from django.contrib.auth.models import User
from playwright.sync_api import Response

from tests.browser import hostile
from tests.browser.conftest import Screen
from tests.cast import Company
from tests.contracts.crawling import kind, links
from tests.contracts.world import populate

EACH_AT_MOST = len(hostile.TEXTS) if os.environ.get("HOSTILE") == "full" else 1
NO_PAGE = re.compile(r"/export\.|\.json|/logout/|/jsi18n/")
"""Files, and what ends the visit."""


def test_no_page_runs_what_came_from_outside(screen: Screen, company: Company, admin_user: User) -> None:
    populate(company)
    hostile.come_in(company)
    hostile.fill(admin_user)
    screen.page.route(
        "**/favicon.ico", lambda route: route.fulfill(status=204)
    )  # asked for by a part that is opened alone
    shown = visit_all(screen)
    assert (screen.problems, set(hostile.MARKS) - shown) == ([], set())


def visit_all(screen: Screen) -> set[str]:
    """Follow every link from the home page; return the marks that were seen as text."""
    shown: set[str] = set()
    kinds: Counter[str] = Counter()
    seen, left = set(), ["/admin/"]
    while left:
        path = left.pop(0)
        if path in seen or kinds[kind(path)] >= EACH_AT_MOST or NO_PAGE.search(path):
            continue
        seen.add(path)
        kinds[kind(path)] += 1
        left += links(path, look_at(screen, path, shown))
    return shown


def look_at(screen: Screen, path: str, shown: set[str]) -> str:
    """Open a page; what it complains of is noted with its address."""
    answer = screen.page.goto(screen.base + path)
    assert isinstance(answer, Response)
    text, ran = screen.page.evaluate(
        "ran => [document.documentElement.textContent, document.querySelectorAll(ran).length]", hostile.RAN
    )
    if answer.status >= 400 or ran:
        screen.problems.append(f"{path}: {answer.status}, {ran} elements")
    shown.update(re.findall(r"pwned\d\d", text))
    return answer.text()
