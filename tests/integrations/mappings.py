"""Made-up mappings and JSON, as hypothesis draws them."""

import json
from typing import Any

from hypothesis import strategies as st

from apps.integrations.masking import HIDDEN, masked

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e98, 1e98) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
EXPRESSIONS = st.sampled_from(["data.name", "data.items[*].n", "subject", "lower(type)", "data.city || 'none'", "@"])
# Hypothesis draws words out of the code, too, and among them the names that no constant may bear.
CONSTANTS = JSON.filter(lambda value: HIDDEN not in json.dumps(masked(value), ensure_ascii=False))
ENTRIES = st.one_of(
    st.builds(lambda value: {"value": value}, CONSTANTS),
    st.builds(lambda text: {"from": text}, EXPRESSIONS),
    st.builds(lambda text: {"from": text, "optional": True}, EXPRESSIONS),
)
MAPPINGS = (
    st.dictionaries(st.from_regex(r"\A[a-z]{1,8}_(\.[a-z]{1,8}-){0,2}\Z"), ENTRIES, min_size=1, max_size=6)
    .filter(lambda fields: not any(other.startswith(f"{name}.") for name in fields for other in fields))
    .map(lambda fields: dict(sorted(fields.items())))
)
