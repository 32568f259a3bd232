"""A project with nothing but its tasks; the connection is kept, or each task would make a new one."""

import os

SECRET_KEY = "benchmark"  # noqa: S105 # signs nothing
INSTALLED_APPS = ["django_tasks_db", "django_peer"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "CONN_MAX_AGE": None}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
USE_TZ = True
