"""The API's documentation is Swagger's own page: it must run under our policy. Its contrast and labels are not ours."""

from tests.browser.conftest import Screen


def test_the_documentation_runs_under_the_content_policy(screen: Screen) -> None:
    page = screen.open("/api/docs")
    page.get_by_text("Hand in an operation").wait_for()
    page.get_by_text("/api/pending-operations/status").click()
    page.get_by_text("Try it out").wait_for()
    assert screen.problems == []
