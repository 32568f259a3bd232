from playwright.sync_api import Page, Route

from tests.browser.conftest import Screen


def wait_a_turn(page: Page, seconds: int = 6) -> None:
    """Let the page's own clock run on."""
    page.clock.run_for(seconds * 1000)
    page.wait_for_load_state("networkidle")


def open_with_clock(screen: Screen, path: str) -> Page:
    screen.page.clock.install()
    return screen.open(path)


def test_the_numbers_refresh_themselves(screen: Screen) -> None:
    page = open_with_clock(screen, "/gallery/home/")
    page.locator("#pulse h1").evaluate("title => { title.textContent = 'old' }")
    with page.expect_response("**/*part=pulse"):
        page.clock.run_for(6000)
    page.get_by_role("heading", name="2 things need you").wait_for()
    assert screen.problems == []


def test_a_part_with_the_focus_is_left_alone(screen: Screen) -> None:
    page = open_with_clock(screen, "/gallery/home/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Retry 38").focus()
    wait_a_turn(page)
    assert any("part=pulse" in url for url in asked)
    assert not any("part=failures" in url for url in asked)


def test_a_page_that_cannot_refresh_says_so_until_it_can(screen: Screen) -> None:
    page = open_with_clock(screen, "/gallery/home/")
    page.route("**/*part=*", lambda route: route.abort())
    page.clock.run_for(6000)
    page.locator("#stale").wait_for(state="visible")
    page.unroute("**/*part=*")
    page.clock.run_for(6000)
    page.locator("#stale").wait_for(state="hidden")


def test_a_run_is_asked_for_until_it_is_over(screen: Screen) -> None:
    page = open_with_clock(screen, "/gallery/run/")
    page.route("**/gallery/run/", as_finished)
    page.clock.run_for(3000)
    page.locator("#run-live .stand", has_text="finished").wait_for()
    assert page.locator("#run-live").get_attribute("hx-get") is None


def as_finished(route: Route) -> None:
    """Answer for a run that has come to its end."""
    route.fulfill(response=route.fetch(url=route.request.url + "?status=finished"))


def test_a_session_that_ended_leads_to_the_sign_in_page(screen: Screen) -> None:
    page = open_with_clock(screen, "/admin/auth/user/")
    page.goto(screen.base + "/gallery/list/")
    page.context.clear_cookies(name="sessionid")
    page.clock.run_for(16000)
    page.wait_for_url("**/admin/login/**")


def test_the_day_is_drawn_and_stands_as_a_table(screen: Screen) -> None:
    page = screen.open("/gallery/home/")
    assert page.locator(".plot canvas").is_visible()
    page.get_by_text("Show the numbers").click()
    assert page.locator(".numbers tbody tr").count() == 96


def test_hostile_text_is_shown_as_text(screen: Screen) -> None:
    for path in ("/gallery/home/", "/gallery/detail/", "/gallery/preview/", "/gallery/history/"):
        page = screen.open(path)
        assert page.get_by_text("<script>alert(1)</script>").count() > 0
    assert screen.problems == []
