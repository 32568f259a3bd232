"""Settings of opsconsole. Every value comes from the environment or from a default that is safe to run with.

A secret `X` may also stand in a file named by `X_FILE`; the file wins. `make run` (`manage.py up`) sets what a
development machine lacks. `docs/deploying.md` lists every variable.
"""

import os
import sys
from collections import ChainMap
from pathlib import Path
from urllib.parse import quote, urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from opsconsole import log_lines

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def told_by_up(folder: Path) -> dict[str, str]:
    """Return what `manage.py up` told the programs it runs on a data folder, so that commands beside it find them."""
    remembered = folder / "env"
    lines = remembered.read_text().splitlines() if remembered.exists() else []
    return dict(line.split("=", 1) for line in lines)


def secret(name: str, default: str = "") -> str:
    """Return the secret `name`, from the file `<name>_FILE` where that is set, else from the environment."""
    path = env.str(f"{name}_FILE", default="")
    # `echo` leaves a newline at the end of a secret file; no secret of ours ends in white space.
    return Path(path).read_text().strip() if path else env.str(name, default=default).strip()


def longest_statement_ms(program: str) -> int:
    """Return how long a statement of the program at this path may take: a page's reader waits, a worker may (R24)."""
    names = Path(program).parts[-2:]  # `celery`, or `…/celery/__main__.py` where it was started by `python -m celery`
    return 60_000 if "celery" in names else 5_000


def with_password(url: str, name: str) -> str:
    """Return the address with the secret `name` as its password, where there is one: so a secret file holds one secret."""
    password, parts = secret(name), urlsplit(url)
    user, _at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}"
    return parts._replace(netloc=netloc).geturl() if password else url


# Where it runs

PRODUCTION = env.str("OPS_ENV", default="development") == "production"
# What people call this place, on every page; a QA runs with all of production's safety, and says that it is QA.
ENVIRONMENT = env.str("OPS_ENVIRONMENT", default="production" if PRODUCTION else "development")
DEBUG = False
DATA_DIR = Path(env.str("OPS_DATA_DIR", default=str(BASE_DIR / ".data")))
if not PRODUCTION:
    env.ENVIRON = ChainMap(os.environ, told_by_up(DATA_DIR))
PORT = env.int("OPS_PORT", default=8000)
PUBLIC_URL = env.str("OPS_PUBLIC_URL", default=f"http://localhost:{PORT}")
# It plays the far ends where it is set, and every page says so.
SIMULATOR_URL = "" if PRODUCTION else env.str("OPS_SIMULATOR_URL", default="")
SECRET_KEY = secret("SECRET_KEY")
API_KEY_PEPPER = secret("API_KEY_PEPPER", default=SECRET_KEY)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# So many proxies of ours stand in front. Each adds an address to X-Forwarded-For; what stands before them, anyone can write.
TRUSTED_PROXIES = env.int("OPS_TRUSTED_PROXIES", default=0)

# What it is made of

INSTALLED_APPS = [
    "opsconsole.site.ConsoleConfig",
    "django.forms",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "django_celery_beat",
    "ninja",
    "csp",
    "opsconsole",
    "apps.actions",
    "apps.deadletters",
    "apps.jobs",
    "apps.integrations",
    "apps.operations",
    "apps.syncs",
]
MIDDLEWARE = [
    "opsconsole.middleware.measured",
    "opsconsole.tracing.Traced",
    "opsconsole.middleware.api_answers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "opsconsole.middleware.Policy",
    "opsconsole.middleware.Sessions",
    "opsconsole.middleware.Language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "opsconsole.middleware.SignedIn",
    "opsconsole.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "opsconsole.middleware.operations_time_zone",
    "opsconsole.middleware.DatabaseAway",
    "opsconsole.middleware.api_limits",
]
ROOT_URLCONF = "opsconsole.urls"
WSGI_APPLICATION = "opsconsole.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # so that templates/ may replace a widget's template, too
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# PostgreSQL: the truth

DATABASE_URL = with_password(secret("DATABASE_URL", default="postgres://localhost/opsconsole"), "DATABASE_PASSWORD")
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASES["default"]["ENGINE"] = "opsconsole.database"
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# What every request asks is prepared (apps/actions/preparing.py), but not behind a pooler, where connections are not kept.
DATABASES["default"]["OPTIONS"]["prepare_threshold"] = 5 if DATABASES["default"]["CONN_MAX_AGE"] else None
STATEMENT_TIMEOUT_MS = env.int("OPS_STATEMENT_TIMEOUT_MS", default=longest_statement_ms(sys.argv[0]))
DATABASES["default"]["OPTIONS"]["options"] = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": 2000,
        "idle_in_transaction_session_timeout": 15000,
    }.items()
)

# Valkey or Redis: wake-ups only

REDIS_URL = with_password(secret("REDIS_URL", default="redis://localhost:6379/0"), "REDIS_PASSWORD")
# kombu has words of its own for the address of a unix socket.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # nothing may rest on redelivery: rows are found again by the sweep
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker however long that takes
# The tick has a worker of its own: drains, probes and bulk runs take seconds, and it must not wait behind them.
# Nor do drains wait behind jobs, which may take an hour.
CELERY_TASK_DEFAULT_QUEUE = "drains"
CELERY_TASK_ROUTES = {
    "apps.jobs.tasks.tick": {"queue": "ticks"},
    "apps.jobs.tasks.work_off": {"queue": "jobs"},
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3}
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 25
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BEAT_SCHEDULER = "apps.jobs.ticker:Scheduler"

# Workers

LEASE_SECONDS = env.float("OPS_LEASE_SECONDS", default=30)
# What starts a process of ours again when it has ended. Told by whoever does; `manage.py workers restart` asks for it.
SUPERVISOR = env.str("OPS_SUPERVISOR", default="")

# People and their browsers

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
if PRODUCTION:  # a __Host- cookie needs https
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_REDIRECT_EXEMPT = [r"^health"]
SECURE_HSTS_SECONDS = 365 * 86400 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# Words and times

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt-br", _("Brazilian Portuguese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "opsconsole.formats"
TIME_ZONE = "UTC"
OPS_TIME_ZONE = env.str("OPS_TIME_ZONE", default="America/Sao_Paulo")
USE_TZ = True

# Files

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.str("OPS_STATIC_ROOT", default=str(DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": env.str("OPS_STATICFILES_STORAGE", default="whitenoise.storage.CompressedManifestStaticFilesStorage")
    },
}

# Lines of the log: to standard error as JSON (in development as people read them), and from these levels on into their
# table, for pages, the API and `manage.py logs`. Without any they stay out of it.

LOG_KEPT = env.dict("OPS_LOG_KEPT", default={"apps": "INFO", "opsconsole": "INFO", "*": "WARNING"})
LOGGING = log_lines.configuration(PRODUCTION, LOG_KEPT)
DJANGO_STRUCTLOG_USER_ID_FIELD = None  # reading who it is would ask the database once more
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # an address is a person's; the access log has it

# The thresholds of runbook 0, where the environment still sets them

PENDING_ALERT_THRESHOLD = env.int("PENDING_ALERT_THRESHOLD", default=50)
FAILED_ALERT_THRESHOLD = env.int("FAILED_ALERT_THRESHOLD", default=10)

# Runbook 3's emergency: job runs are kept for so many days, whatever their policy says (S3-41)

RETENTION_DAYS_JOBRUN = env.int("RETENTION_DAYS_JOBRUN", default=None)

# Where the team keeps its runbooks: pages link to what runbook 0 refers to (S0-36) where this is set

RUNBOOKS_URL = env.str("OPS_RUNBOOKS_URL", default="")
