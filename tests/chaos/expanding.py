"""Our settings, with migrations of a later version."""

from opsconsole.settings import *  # noqa: F403 # settings are taken over whole
from opsconsole.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.expansion"]
