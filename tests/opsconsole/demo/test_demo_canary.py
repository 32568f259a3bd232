from django.test import Client

from tests.opsconsole.demo.visitor import guide, press, retry_to_the_end


def test_before_it_is_mended_the_canary_stops_the_retry_and_then_it_goes_on(hurried: Client) -> None:
    press(hurried, "skip")
    press(hurried, "retry")
    assert (retry_to_the_end().moved, guide(hurried)["title"]) == (1, "The canary stopped it")
    press(hurried, "resume")
    assert retry_to_the_end().confirmed == 38
