"""The console in Portuguese: every word of it, with the placeholders of the English, and nothing that nobody says."""

import re
from collections.abc import Iterator

import polib
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.translation import override

from apps.actions.verbs import Acted, Move, moves_of, nouns, states_of
from tests.messages import CATALOGUE, messages, untranslated

PLACEHOLDER = re.compile(r"%\(\w+\)[.\d]*[a-z]|%[s%]|\{\w*\}")
ENTRIES = polib.pofile(str(CATALOGUE))
SAME_IN_BOTH: frozenset[str] = frozenset()
"""States and verbs that Portuguese says with the English word."""

of_every_noun = pytest.mark.parametrize("noun", nouns(), ids=lambda noun: noun._meta.label_lower)


def pairs(entry: polib.POEntry) -> Iterator[tuple[str, str]]:
    """Return each translation with the English that it stands for."""
    if entry.msgid_plural:
        yield from ((entry.msgid_plural, translated) for translated in entry.msgstr_plural.values())
    else:
        yield entry.msgid, entry.msgstr


def said(noun: type[Acted], language: str) -> list[str]:
    """Return the states, verbs and steps of a noun in a language."""
    with override(language):
        return [*states_of(noun).values(), *(str(move.label) for move in moves_of(noun).values())]


def refusals(move: Move, language: str) -> list[str]:
    """Return the sentences with which a move refuses, in a language."""
    with override(language):
        return [str(words) for _condition, words in move.unless] + [move.why_not(0, state) for state in move.sources]


def test_every_message_has_a_portuguese_translation() -> None:
    assert untranslated() == []


def test_every_translation_has_the_placeholders_of_its_message() -> None:
    told = [(english, words) for entry in ENTRIES for english, words in pairs(entry)]
    found = [(one, PLACEHOLDER.findall(one), PLACEHOLDER.findall(other)) for one, other in told]
    assert [one for one, wanted, given in found if sorted(wanted) != sorted(given)] == []


def test_the_catalogue_holds_nothing_that_nobody_says() -> None:
    kept = {(entry.msgctxt, entry.msgid, entry.msgid_plural or None) for entry in ENTRIES}
    assert kept == set(messages())


@of_every_noun
def test_states_verbs_and_steps_have_portuguese_words(noun: type[Acted]) -> None:
    both = zip(said(noun, "en"), said(noun, "pt-br"), strict=True)
    assert [english for english, words in both if english == words and english not in SAME_IN_BOTH] == []


@of_every_noun
def test_a_refusal_has_its_semicolon_in_both_languages(noun: type[Acted]) -> None:
    # There the sentence is taken apart, to say between what the row is and what was needed who moved it last.
    moves = moves_of(noun).values()
    both = [pair for move in moves for pair in zip(refusals(move, "en"), refusals(move, "pt-br"), strict=True)]
    assert [english for english, words in both if english.count(";") != words.count(";")] == []


def test_a_page_is_written_in_portuguese(client: Client, ana: User) -> None:
    client.force_login(ana)
    page = client.get("/admin/operations/pendingoperation/", headers={"accept-language": "pt-br"}).content.decode()
    assert '<html lang="pt-br"' in page
    assert "<h1>Operações pendentes</h1>" in page
