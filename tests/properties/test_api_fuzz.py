"""Whatever is sent to whatever call: an answer below 500, and a problem body where it is a refusal (S20)."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsconsole.api import api
from tests.api import Api
from tests.cast import Company

pytestmark = pytest.mark.django_db
SCHEMA = api.get_openapi_schema(path_prefix="/api/")
WORDS = sorted({name for one in SCHEMA["components"]["schemas"].values() for name in one.get("properties", {})})

texts = st.text(max_size=20) | st.sampled_from(
    ["failed", "pending", "%00", "../..", "0192f0c1-2b3c-7def-8a90-0123456789ab"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | texts, of, max_size=4),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(WORDS), values, max_size=5)
queries = st.dictionaries(
    st.sampled_from([*WORDS, "q", "limit", "offset", "after", "batch_size", "since"]), texts, max_size=3
)
calls = st.sampled_from([(method, path) for path, found in SCHEMA["paths"].items() for method in found])


@given(call=calls, id=texts, body=bodies, query=queries)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_no_request_makes_a_500(
    ana_api: Api, company: Company, call: tuple[str, str], id: str, body: dict[str, Any], query: dict[str, str]
) -> None:
    method, path = call
    address = f"{path.replace('{id}', quote(id, safe=''))}?{urlencode(query)}"
    answer = ana_api.generic(method.upper(), address, json.dumps(body).encode(), content_type="application/json")
    assert answer.status_code < 500
    assert answer.status_code < 400 or answer["Content-Type"] == "application/problem+json"
