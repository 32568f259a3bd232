import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.masking import masked_text, phones_in
from apps.jobs.phones import digest, normalised

area = st.from_regex(r"[1-9][1-9]", fullmatch=True)
mobile = st.from_regex(r"[6-9][0-9]{7}", fullmatch=True)


@pytest.mark.parametrize(
    "written",
    ["5511999999999", "+5511999999999", "+55 (11) 99999-9999", "11999999999", "551199999999", "(11) 9999-9999"],
)
def test_each_way_of_writing_a_phone_is_the_same_phone(written: str) -> None:
    assert normalised(written) == "1199999999"


def test_a_phone_of_another_country_keeps_its_digits() -> None:
    assert normalised("+1 415 555-0132") == "14155550132"


def test_area_code_55_is_no_country() -> None:
    assert normalised("55 99999-9999") == normalised("+55 55 9999-9999") == "5599999999"


@given(area, mobile, st.sampled_from(["{a}9{n}", "{a}{n}", "55{a}9{n}", "+55{a}9{n}", "+55{a}{n}"]))
def test_country_and_ninth_digit_make_no_difference(area: str, number: str, form: str) -> None:
    assert digest(form.format(a=area, n=number)) == digest(area + number)


@given(area, mobile)
def test_a_phone_that_is_masked_is_found_by_its_digest(area: str, number: str) -> None:
    text = f"message of +55{area}9{number} failed"
    [phone] = phones_in(text)
    assert number not in masked_text(text)
    assert digest(phone) == digest(f"{area}{number}")


@given(area, mobile, mobile)
def test_two_phones_are_two(area: str, one: str, other: str) -> None:
    assert (digest(area + one) == digest(area + other)) == (one == other)


def test_a_digest_is_keyed(settings: object) -> None:
    before = digest("11999999999")
    settings.API_KEY_PEPPER = "another"  # type: ignore[attr-defined] # pytest-django's
    assert digest("11999999999") != before
