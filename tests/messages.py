"""Every string that people may read, out of code and templates. `make messages` writes the missing ones into the catalogue.

Django's own `makemessages` needs the gettext programs; Babel reads Python, and Django turns its templates into what Babel reads.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import polib
from babel.messages.extract import extract
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "locale/pt_BR/LC_MESSAGES/django.po"
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
Message = tuple[str | None, str, str | None]
"""Context, text, plural."""


def messages() -> dict[Message, list[str]]:
    """Return every message and the files that say it."""
    found: dict[Message, list[str]] = {}
    for path, text in _sources():
        for _line, said, _comments, context in extract("python", io.BytesIO(text.encode()), keywords=KEYWORDS):
            one, *more = said if isinstance(said, tuple) else (said,)
            if one:
                found.setdefault((context, one, more[0] if more else None), []).append(path)
    return found


def _sources() -> Iterator[tuple[str, str]]:
    for folder in ("opsconsole", "apps", "templates"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.suffix == ".py" and "migrations" not in path.parts and "simulator" not in path.parts:
                yield name, path.read_text()
            elif path.suffix in (".html", ".txt"):
                yield name, templatize(path.read_text())


def untranslated() -> list[str]:
    """Return the messages that the catalogue lacks, leaves empty or marks as fuzzy."""
    known = {(entry.msgctxt, entry.msgid) for entry in polib.pofile(str(CATALOGUE)) if entry.translated()}
    return sorted(text for context, text, _plural in messages() if (context, text) not in known)


def update() -> None:
    """Add what is missing, empty, and drop what nobody says any more."""
    catalogue = polib.pofile(str(CATALOGUE))
    known: dict[tuple[str | None, str], polib.POEntry] = {(entry.msgctxt, entry.msgid): entry for entry in catalogue}
    said = messages()
    catalogue[:] = sorted(
        (_entry(message, paths, known) for message, paths in said.items()), key=lambda entry: entry.occurrences
    )
    catalogue.save()


def _entry(message: Message, paths: list[str], known: dict[tuple[str | None, str], polib.POEntry]) -> polib.POEntry:
    context, text, plural = message
    entry = known.get((context, text)) or polib.POEntry(msgctxt=context, msgid=text)
    entry.occurrences = [(path, "") for path in sorted(set(paths))]
    if plural and not entry.msgid_plural:
        entry.msgid_plural, entry.msgstr_plural = plural, {0: "", 1: ""}
    if "%(" in text or "%s" in text:
        entry.flags = ["python-format"]
    return entry


if __name__ == "__main__":
    update()
    left = untranslated()
    print(f"{len(messages())} messages, {len(left)} without a translation")  # noqa: T201 # a tool's own words
