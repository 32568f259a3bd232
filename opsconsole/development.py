"""What `make run` runs: everything on one machine, out of one data folder, until Ctrl-C."""

import http.client
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from opsconsole import embedded, processes
from opsconsole.datafolder import hold, made_once
from opsconsole.processes import Program
from opsconsole.supervisor import Supervisor

GUNICORN = (
    *("--worker-class", "opsconsole.serving.EvenWorker"),
    *("--workers", "2", "--threads", "4", "--no-control-socket"),
)
"""How the web is served; the image says the same (Dockerfile)."""
PORT_SECONDS = 3  # an earlier web process that was killed lets go of its port within a second
TRY_IT = """
  curl -H "X-API-Key: {key}" {url}/api/pending-operations/status
  curl -H "X-API-Key: {key}" "{url}/api/pending-operations/list?limit=50"
  curl -X POST -H "X-API-Key: {key}" {url}/api/pending-operations/process
"""


class DevelopmentError(Exception):
    """We cannot run here, in a sentence for the person who tried."""


@dataclass(frozen=True)
class Machine:
    """One development machine: its data folder, its ports, and what every program of it is told."""

    data: Path
    port: int
    env: dict[str, str]
    say: Callable[[str], object]

    @property
    def url(self) -> str:
        """Where the console answers."""
        return f"http://localhost:{self.port}"

    def program(self, name: str, *argv: str, grace_seconds: float = 10, **env: str) -> Program:
        """Return a Python program of ours."""
        return Program(
            name=name,
            argv=[sys.executable, *argv],
            env=self.env | env,
            log=self.data / "logs" / f"{name}.log",
            cwd=settings.BASE_DIR,
            grace_seconds=grace_seconds,
        )


def up(say: Callable[[str], object]) -> None:
    """Run everything until we are told to stop, and stop it in order."""
    if settings.PRODUCTION:
        raise DevelopmentError(
            _("`up` is for development; OPS_ENV=production is set. docs/deploying.md says how to deploy.")
        )
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with hold(settings.DATA_DIR), _listening(settings.PORT) as door, Supervisor(say) as supervisor:
            _run(supervisor, door)
    except KeyboardInterrupt:
        say(_("Stopped."))


def _run(supervisor: Supervisor, door: socket.socket) -> None:
    env = dict(os.environ) | {"OPS_SUPERVISOR": "make run"}
    machine = Machine(settings.DATA_DIR, settings.PORT, env, supervisor.say)
    machine.say(_("opsconsole starts on %(folder)s") % {"folder": machine.data})
    _make_secrets(machine)
    port = _simulator_port(machine)
    supervisor.start(_simulator(machine, port))
    _start_servers(machine, supervisor)
    _tell_commands(machine)
    supervisor.tend(until=lambda: answers(port))  # the demo company is made with its help
    machine.say(_("  database, pages and the demo company"))
    prepared = _prepare(machine)
    supervisor.start(web(machine, door))
    supervisor.tend(until=lambda: answers(machine.port))  # the pages first: somebody waits for them
    for program in programs(machine):
        supervisor.start(program)
    machine.say(_welcome(machine, prepared))
    try:
        supervisor.tend()
    except KeyboardInterrupt:
        machine.say(_("Stopping. A task that runs may take up to 30 s to finish; Ctrl-C again ends it at once."))
        raise


def _make_secrets(machine: Machine) -> None:
    for name in ("SECRET_KEY", "API_KEY_PEPPER"):
        path = machine.data / name.lower().replace("_", "-")
        made_once(path, lambda: secrets.token_urlsafe(64))
        if not {name, f"{name}_FILE"} & machine.env.keys():
            machine.env[f"{name}_FILE"] = str(path)
    made_once(machine.data / "admin-password", lambda: secrets.token_urlsafe(12))
    made_once(machine.data / "demo-api-key", lambda: f"ops_{secrets.token_urlsafe(32)}")


def _tell_commands(machine: Machine) -> None:
    """Write down where everything is: settings read it, so that a `manage.py` command beside us needs no environment."""
    told = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY_FILE", "API_KEY_PEPPER_FILE", "OPS_SIMULATOR_URL", "OPS_PORT")
    lines = [f"{name}={machine.env[name]}" for name in told if name in machine.env]
    path = machine.data / "env"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def _start_servers(machine: Machine, supervisor: Supervisor) -> None:
    """Start the servers that the environment does not name."""
    servers = embedded.of_data_folder(
        machine.data, made_once(machine.data / "database-password"), made_once(machine.data / "redis-password")
    )
    if not {"DATABASE_URL", "DATABASE_URL_FILE"} & machine.env.keys():
        machine.say(_("  PostgreSQL"))
        servers.wait_for_postgres(supervisor.start(servers.postgres()))
        servers.make_database()
        machine.env["DATABASE_URL"] = servers.database_url
    if not {"REDIS_URL", "REDIS_URL_FILE"} & machine.env.keys():
        machine.say(_("  Valkey"))
        servers.wait_for_valkey(supervisor.start(servers.valkey()))
        machine.env["REDIS_URL"] = servers.redis_url


def _prepare(machine: Machine) -> dict[str, str]:
    program = machine.program("prepare", "manage.py", "prepare", OPS_STATEMENT_TIMEOUT_MS="0")
    printed = processes.output(program)
    if printed is None:
        raise DevelopmentError(
            _("The database could not be prepared. The reason is at the end of %(log)s.") % {"log": program.log}
        )
    return dict(json.loads(printed))


def web(machine: Machine, door: socket.socket) -> Program:
    """Return the web, which answers at a port that we hold."""
    web = machine.program(
        *("web", "-m", "gunicorn", "opsconsole.wsgi", "--bind", f"fd://{door.fileno()}"),
        *(*GUNICORN, "--graceful-timeout", "8"),
        *("--access-logfile", str(machine.data / "logs" / "access.log")),
        *("--logger-class", "opsconsole.logs.MaskedLogger"),
    )
    return replace(web, pass_fds=(door.fileno(),))


def programs(machine: Machine) -> Iterator[Program]:
    """Yield what carries operations, in the order of starting."""
    yield _worker(machine, "ticker", queue="ticks", children=1)
    yield _worker(machine, "worker", queue="drains", children=2)
    yield _worker(machine, "jobs", queue="jobs", children=2)
    yield machine.program(
        *("beat", "-m", "celery", "-A", "opsconsole", "beat", "--pidfile=", "--loglevel", "INFO"),
    )
    yield machine.program("traffic", "manage.py", "demo", "--traffic")


def _worker(machine: Machine, name: str, queue: str, children: int) -> Program:
    """Return a Celery worker. The tick has one of its own, so that it never waits behind what takes seconds."""
    return machine.program(
        *(name, "-m", "celery", "-A", "opsconsole", "worker", "--queues", queue, "--concurrency", str(children)),
        *("--hostname", f"{name}@%h", "--without-mingle", "--without-gossip", "--loglevel", "INFO"),
        grace_seconds=30,
    )


def _simulator_port(machine: Machine) -> int:
    """Return the simulator's port, the same at every start where it is free, for rows name it; tell everyone."""
    remembered = machine.data / "simulator-port"
    port = processes.free_port(int(remembered.read_text()) if remembered.exists() else 0)
    remembered.write_text(str(port))
    machine.env["OPS_SIMULATOR_URL"] = f"http://127.0.0.1:{port}"
    return port


def _simulator(machine: Machine, port: int) -> Program:
    folder = machine.data / "simulator"
    return machine.program("simulator", "-m", "apps.simulator", "--port", str(port), "--data", str(folder))


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Take the port ourselves, so that it is ours before anything starts and stays ours while the web is started again."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(door, port)
        door.listen(512)
        yield door


def _bind(door: socket.socket, port: int) -> None:
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return door.bind(("127.0.0.1", port))
        except OSError as error:
            if time.monotonic() > deadline:
                raise DevelopmentError(
                    _(
                        "Port %(port)s cannot be used: %(reason)s. Choose another one with OPS_PORT, for example: OPS_PORT=%(next)s make run"
                    )
                    % {"port": port, "reason": error.strerror, "next": port + 1}
                ) from error
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Say whether the web answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False


def _welcome(machine: Machine, prepared: dict[str, str]) -> str:
    key = (machine.data / "demo-api-key").read_text().strip()
    lines = [
        "",
        _("opsconsole is ready at %(url)s/admin/") % {"url": machine.url},
        "",
        _("  Sign in once  %(link)s") % {"link": machine.url + prepared["link"]},
        _("  Or as         %(name)s, password %(password)s") % prepared,
        _("  API key       %(key)s") % {"key": key},
        TRY_IT.format(key=key, url=machine.url),
        _("The outside services are played by a simulator at %(url)s") % {"url": machine.env["OPS_SIMULATOR_URL"]},
        _("Logs are in %(folder)s. Ctrl-C stops everything.") % {"folder": machine.data / "logs"},
    ]
    return "\n".join(lines)
