"""The web as it is shipped, and a bare Django site under the same gunicorn: what requests are sent to."""

import http.client
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.ground import AS_SHIPPED, ROOT, no_limits
from opsconsole import processes
from opsconsole.development import GUNICORN
from opsconsole.processes import Program

SHIPPED = ("opsconsole.wsgi", "--logger-class", "opsconsole.logs.MaskedLogger")
BARE = ("benchmarks.bare_web:serve()",)
SECRET = f"whsec_{secrets.token_urlsafe(32).translate(str.maketrans('-_', 'ab'))}="
"""Signs what comes to the door `signed`."""


@contextmanager
def web(application: tuple[str, ...], path: str = "/health/live") -> Iterator[str]:
    """Run a site until the block ends; give its address once it answers at `path`."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"127.0.0.1:{processes.free_port()}"
        log = ("--access-logfile", f"{folder}/access.log")
        argv = [sys.executable, "-m", "gunicorn", *application, "--bind", address, *GUNICORN, *log]
        env = {**os.environ, **AS_SHIPPED, "SIGNED": SECRET}
        program = Program(name="web", argv=argv, env=env, log=Path(folder, "web.log"), cwd=ROOT)
        process = processes.start(program)
        try:
            _wait_for(address, path, program.log)
            yield f"http://{address}"
        finally:
            processes.stop(process, program)


def _wait_for(address: str, path: str, log: Path) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.05)
    raise SystemExit(log.read_text()[-3000:])


def senders() -> str:
    """Make the sources `site` and `signed`, and limits that nobody meets; return a key that may hand work in."""
    from django.contrib.auth.models import Group

    from apps.integrations import keys
    from apps.integrations.models import EventSource

    EventSource.objects.create(slug="site", name="The site")
    EventSource.objects.create(slug="signed", name="The same, signed", credentials={"current": "SIGNED"})
    no_limits()
    _key, plain = keys.make("site", Group.objects.get(name="Operator"))
    return plain
