import redis
from django.conf import settings
from django.db import connection
from kombu import Connection


def test_the_suite_runs_on_postgresql_18(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        assert cursor.fetchone()[0].startswith("18")


def test_trigrams_and_statistics_are_at_hand(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name IN ('pg_trgm', 'pg_stat_statements')")
        assert cursor.fetchone()[0] == 2


def test_celery_and_redis_speak_to_the_same_server() -> None:
    with Connection(settings.CELERY_BROKER_URL) as broker, redis.Redis.from_url(settings.REDIS_URL) as client:
        broker.SimpleQueue("meeting").put("here")
        assert client.llen("meeting") == 1
        client.delete("meeting")
