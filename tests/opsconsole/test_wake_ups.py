import subprocess
import sys

from django.conf import settings

TOLD = "import django; django.setup(); from apps.operations.tasks import drain; print(drain.app.conf.broker_url)"


def test_a_wake_up_from_any_process_goes_to_our_broker() -> None:
    printed = subprocess.run(  # noqa: S603 # a process that is no worker
        [sys.executable, "-c", TOLD], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == settings.CELERY_BROKER_URL
