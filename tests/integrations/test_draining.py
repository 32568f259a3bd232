import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.draining import outlook, seconds_for
from apps.integrations.models import Service
from apps.integrations.traffic import Calls

counts = st.integers(0, 10**6)
paces = st.floats(0.01, 10_000)
climbed = st.floats(0, 300)


def sent(seconds: float, pace: float, climbed: float) -> float:
    """How many calls go out, added up in small steps as the limit gives them."""
    steps = 20_000
    step = seconds / steps
    shares = (min(1, max(0.1, (climbed + (number + 0.5) * step) / 60)) for number in range(steps))
    return sum(shares) * step * pace


@pytest.mark.parametrize(("count", "climbed"), [(3, 0), (200, 0), (5000, 0), (200, 30), (5000, 60), (5000, 600)])
def test_the_time_is_that_in_which_the_limit_lets_so_many_pass(count: int, climbed: float) -> None:
    assert sent(seconds_for(count, 10, climbed), 10, climbed) == pytest.approx(count, rel=0.01)


@given(count=counts, pace=paces, climbed=climbed)
def test_more_takes_longer_and_a_climb_never_shortens_it(count: int, pace: float, climbed: float) -> None:
    seconds = seconds_for(count, pace, climbed)
    assert seconds_for(count + 1, pace, climbed) > seconds >= count / pace - 1e-6
    assert seconds <= count / pace + 60


def test_after_the_climb_the_whole_pace_counts() -> None:
    assert seconds_for(600, 10, climbed_seconds=60) == pytest.approx(60)


def test_what_takes_long_to_answer_takes_longer_than_its_limit_says() -> None:
    service = Service(rate_per_second=50, max_in_flight=5)
    told = outlook(service, 100, Calls(made=10, milliseconds=10_000), climbed_seconds=60)
    assert (told.per_second, told.by_limit) == (5, False)
    assert told.seconds == pytest.approx(20)


def test_without_recent_answers_the_limit_alone_is_known() -> None:
    told = outlook(Service(rate_per_second=2, max_in_flight=5), 10, Calls(), climbed_seconds=60)
    assert (told.per_second, told.by_limit, math.isfinite(told.seconds)) == (2, True, True)
