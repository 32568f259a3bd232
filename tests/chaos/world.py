"""Servers of our own that may be killed: a durable PostgreSQL and a Valkey, and Django's connection turned to them."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import environ
import redis
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import IntervalSchedule

from apps.jobs import scheduling
from opsconsole import embedded, processes

# What the cases leave behind, and the jobs, which come anew; the beat's row, permissions and groups stay.
EMPTIED = (
    "operations_pendingoperation, operations_attempt, operations_place, operations_tally, deadletters_deadletter,"
    " deadletters_letterwords, deadletters_failurefamily, deadletters_tally,"
    " actions_actionrun, actions_actionitem, integrations_service, integrations_circuitbreaker,"
    " integrations_eventsource, integrations_integrationevent, integrations_endpoint, integrations_mappingversion,"
    " integrations_idempotencyrecord, jobs_job, jobs_jobrun, operations_flow, operations_ended, jobs_process, jobs_queue, jobs_heartbeat,"
    " jobs_tenant, syncs_sync"
)


class World:
    """PostgreSQL and Valkey, each a process that can be killed and brought back."""

    def __init__(self, folder: Path) -> None:
        self.servers = embedded.of_data_folder(folder, secrets.token_hex(), secrets.token_hex())
        self.start_postgres()
        self.start_redis()
        self.servers.make_database()

    def start_postgres(self) -> None:
        """After a kill its orphans hold the memory for a moment, and a start is refused until they are gone."""
        for _attempt in range(20):
            self.postgres = processes.start(self.servers.postgres())
            with contextlib.suppress(embedded.EmbeddedError):
                return self.servers.wait_for_postgres(self.postgres)
            time.sleep(0.2)
        raise AssertionError("PostgreSQL did not come back")

    def start_redis(self) -> None:
        self.valkey = processes.start(self.servers.valkey())
        self.servers.wait_for_valkey(self.valkey)

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster; the next start waits for what it leaves."""
        _kill(self.postgres)

    def crash_postgres(self) -> None:
        """SIGQUIT: it ends at once and writes nothing down."""
        self.postgres.send_signal(signal.SIGQUIT)
        self.postgres.wait(30)

    def kill_redis(self) -> None:
        _kill(self.valkey)

    def wipe_redis(self) -> None:
        """Take away what it would have read at its next start."""
        shutil.rmtree(self.servers.folder / "valkey" / "appendonlydir", ignore_errors=True)

    def flush_redis(self) -> None:
        """FLUSHALL under the connections of everybody."""
        with redis.Redis.from_url(self.servers.redis_url) as client:
            client.flushall()

    def silence_redis(self) -> None:
        """It accepts, and says nothing."""
        self.valkey.send_signal(signal.SIGSTOP)

    def unsilence_redis(self) -> None:
        self.valkey.send_signal(signal.SIGCONT)

    @property
    def env(self) -> dict[str, str]:
        """What our programs are told."""
        return {
            **os.environ,
            "DATABASE_URL": self.servers.database_url,
            "REDIS_URL": self.servers.redis_url,
            "OPS_LEASE_SECONDS": "4",
        }

    def empty(self) -> None:
        """Take away what a case left."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {EMPTIED} CASCADE")  # names of ours
        scheduling.make_missing()
        self.flush_redis()

    def close(self) -> None:
        self.crash_postgres()
        self.kill_redis()
        shutil.rmtree(self.servers.folder, ignore_errors=True)
        shutil.rmtree(self.servers.sockets, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(30)


@contextmanager
def turned_to(world: World) -> Iterator[None]:
    """Let this process, all its threads, work in the world's database."""
    connection.close()
    before = dict(connection.settings_dict)
    connection.settings_dict.update(environ.Env.db_url_config(world.servers.database_url))
    ContentType.objects.clear_cache()  # their keys are another database's
    try:
        call_command("migrate", verbosity=0)
        IntervalSchedule.objects.update(every=3)  # the tick comes sooner, as the lease is shorter
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
        ContentType.objects.clear_cache()
