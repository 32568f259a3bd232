import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

from apps.actions.verbs import nouns

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)|\|safe\b|hx-on|hx-vals=.js:", re.IGNORECASE
)
named = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))


@named
def test_a_template_has_no_inline_script_or_style(path: Path) -> None:
    assert INLINE.findall(path.read_text()) == []


@named
def test_a_template_is_short_and_can_be_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 100
    get_template(str(path.relative_to(settings.BASE_DIR / "templates")))


def test_every_state_has_a_hue() -> None:
    tokens = (settings.BASE_DIR / "static/console/tokens.css").read_text()
    assert [state for state in states() if f'[data-state="{state}"]' not in tokens] == []


def states() -> list[str]:
    """Return every state of every noun; settled without being done has no hue of its own."""
    fields = [field for noun in nouns() for field in noun._meta.fields if field.name == "status"]
    found = {value for field in fields for value, _label in field.flatchoices}
    return sorted(found - {"archived", "cancelled", "revoked"})
