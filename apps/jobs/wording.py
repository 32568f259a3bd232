"""Schedules in words, in the reader's language."""

from cron_descriptor import FormatException, Options, get_description
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from apps.jobs.models import Job

LOCALES = {"pt-br": "pt_PT"}
"""What the library of schedules in words calls our languages; it has English for every other."""


def in_words(job: Job) -> str:
    """Return when a job comes round, as a person says it."""
    if job.every_seconds:
        return _("every %(seconds)s s") % {"seconds": job.every_seconds}
    if not job.cron:
        return _("only when asked")
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = LOCALES.get(get_language() or "", "en_US")
    try:
        return f"{_with_days(get_description(job.cron, options))} ({job.zone})"
    except FormatException:  # it is read by another library: what that knows beyond this one stands as it is
        return f"{job.cron} ({job.zone})"


def _with_days(words: str) -> str:
    """Put the names of days and months, which the library takes from the machine's locale, into the reader's language."""
    for name in (*WEEKDAYS.values(), *MONTHS.values()):
        with override("en"):
            english = str(name)
        words = words.replace(english, str(name))
    return words
