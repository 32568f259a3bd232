"""Compiles the message catalogues with a library: a machine with only Python has no `msgfmt`."""

import polib
from django.conf import settings


def compile_catalogues() -> list[str]:
    """Compile each catalogue that is newer than what it was compiled to; return the languages."""
    compiled = []
    for folder in settings.LOCALE_PATHS:
        for source in sorted(folder.glob("*/LC_MESSAGES/django.po")):
            target = source.with_suffix(".mo")
            if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
                polib.pofile(str(source)).save_as_mofile(str(target))
                compiled.append(source.parts[-3])
    return compiled
