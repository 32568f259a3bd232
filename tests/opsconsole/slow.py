"""A Celery application with one task that takes as long as a test wants."""

import redis
from celery import Celery
from django.conf import settings

app = Celery("slow", broker=settings.CELERY_BROKER_URL)
app.conf.task_ignore_result = True


@app.task
def slow() -> None:
    """Say that it began, wait to be let go, say that it is done."""
    with redis.Redis.from_url(settings.REDIS_URL) as marks:
        marks.rpush("said", "begun")
        marks.blpop(["go"], timeout=30)
        marks.rpush("said", "done")
