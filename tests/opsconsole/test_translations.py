import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command


@pytest.fixture
def catalogue(tmp_path: Path, settings: LazySettings) -> Path:
    """A copy of the catalogue that nobody has compiled."""
    copy = tmp_path / "pt_BR/LC_MESSAGES/django.po"
    copy.parent.mkdir(parents=True)
    shutil.copy(settings.BASE_DIR / "locale/pt_BR/LC_MESSAGES/django.po", copy)
    settings.LOCALE_PATHS = [tmp_path]
    return copy


def test_a_catalogue_is_compiled_without_gettexts_programs(catalogue: Path) -> None:
    told = StringIO()
    call_command("compile_catalogues", stdout=told)
    assert (catalogue.with_suffix(".mo").exists(), told.getvalue()) == (True, "Compiled pt_BR\n")


def test_a_catalogue_that_has_not_changed_is_left_alone(catalogue: Path) -> None:
    call_command("compile_catalogues", stdout=StringIO())
    told = StringIO()
    call_command("compile_catalogues", stdout=told)
    assert told.getvalue() == ""
