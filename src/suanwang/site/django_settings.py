"""Django's settings, derived from the one typed settings object. Nothing is configured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from suanwang.site.settings import settings

_city = settings()
_here = Path(__file__).resolve().parents[1]

SECRET_KEY = _city.django_secret_key()
DEBUG = False
ALLOWED_HOSTS = _city.allowed_hosts
ROOT_URLCONF = "suanwang.site.urls"
WSGI_APPLICATION = "suanwang.site.wsgi.application"
AUTH_USER_MODEL = "people.Person"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "procrastinate.contrib.django",
    "suanwang.people",
    "suanwang.registry",
    "suanwang.ledger",
    "suanwang.jobs",
    "suanwang.metering",
    "suanwang.vouchers",
    "suanwang.programmes",
    "suanwang.api",
    "suanwang.console",
]

MIDDLEWARE = [
    "suanwang.jobs.answers.sign_answers",
    "suanwang.site.metrics.count_requests",
    "suanwang.api.gate.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "suanwang.console.middleware.Console",
    "suanwang.api.gate.Gate",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [_here / "console" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "suanwang.console.shell.shell",
            ],
        },
    }
]


def _database() -> dict[str, Any]:
    parts = conninfo_to_dict(_city.dsn())
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    database = {ours: str(parts.pop(theirs, "")) for theirs, ours in names.items()}
    database["PORT"] = str(parts.pop("port", ""))
    return database | {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": parts,
    }


DATABASES = {"default": _database()}

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/overview"
CSRF_FAILURE_VIEW = "suanwang.console.views.problems.csrf_failed"

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
LOCALE_PATHS = [_here / "console" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

STATIC_URL = "/static/"
STATICFILES_DIRS = [_here / "console" / "static"]

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _city.env == "production"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 34 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# ``site.logs`` configures logging, once for each process.
LOGGING_CONFIG = None

# The city's rooms name their queues; effects ride in the same commit as the rows that cause them.
PROCRASTINATE_ON_APP_READY = None
