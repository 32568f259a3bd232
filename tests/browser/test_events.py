"""The pages of events and their sources, in both languages and at the width of a phone."""

import pytest

from apps.integrations.processing import process
from tests.browser.conftest import Look, Screen, audit
from tests.cast import Company
from tests.integrations.events import event_of, knock, source

looks = [Look(language="en"), Look(language="pt-br"), Look(width=390)]


@pytest.mark.parametrize("look", looks, ids=str)
def test_events_and_their_sources_are_readable(screen: Screen, company: Company) -> None:
    site = source()
    event_of(site, "failed", data={"name": "Ana"}, headers={"user-agent": "site/1", "authorization": "•••"})
    event_of(site, subject="lead-7", proof="unsigned")
    process(5)
    knock("site", b"{}", {})
    for path in ("integrationevent", "eventsource"):
        page = screen.open(f"/admin/integrations/{path}/")
        audit(screen)
        screen.open(page.locator("#result_list tbody th a").first.get_attribute("href") or "")
        for theme in ("light", "dark"):
            screen.wear(theme)
            audit(screen)
