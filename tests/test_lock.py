from pathlib import Path

import pytest
from django.conf import settings


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_names_no_address_and_hashes_everything(name: str) -> None:
    lines = Path(settings.BASE_DIR, name).read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if "==" in line.split("#")[0]]
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    assert [lines[number] for number in pins if "--hash=sha256:" not in lines[number + 1]] == []
