"""Settings of trainhub. Every one that an operator may change is an environment variable, see docs/operations.md."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF

from trainhub.installation import prepare_data_folder, read_or_make_secret

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent


def folders(name: str) -> list[Path]:
    """Return the folders that a variable lists as PATH does: absolute, with colons between them."""
    return [Path(folder).absolute() for folder in env.str(name, default="").split(os.pathsep) if folder]


# --- Where the hub lives --------------------------------------------------------------------------
DATA_DIR = Path(env.str("TRAINHUB_DATA", default=str(BASE_DIR / "var"))).resolve()
PORT = env.int("TRAINHUB_PORT", default=8000)
BIND = env.str("TRAINHUB_BIND", default="127.0.0.1")
# What people type into the browser; https switches on everything that only makes sense with TLS.
PUBLIC_URL = env.str("TRAINHUB_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
# What runners call. Those of the local executor are on this machine and need no proxy in between.
_reachable = "127.0.0.1" if BIND in {"127.0.0.1", "0.0.0.0", "localhost", "::"} else BIND  # noqa: S104 - compared, not bound
NODE_URL = env.str("TRAINHUB_NODE_URL", default=f"http://{_reachable}:{PORT}").rstrip("/")
prepare_data_folder(DATA_DIR)

# --- Security -------------------------------------------------------------------------------------
SECRET_KEY = env.str("TRAINHUB_SECRET_KEY", default="") or read_or_make_secret(DATA_DIR / "secrets" / "secret_key")
DEBUG = False  # no setting turns it on: a debug page shows settings and source to whoever causes an error
_public = urlsplit(PUBLIC_URL)
IS_HTTPS = _public.scheme == "https"
ALLOWED_HOSTS = list(
    {_public.hostname or "127.0.0.1", urlsplit(NODE_URL).hostname or "127.0.0.1", "127.0.0.1", "localhost", "[::1]"}
) + env.list("TRAINHUB_ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if IS_HTTPS else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_SSL_REDIRECT = IS_HTTPS
# Runners beside the hub speak plain HTTP over loopback, and so do health probes.
SECURE_REDIRECT_EXEMPT = [r"^node/", r"^health"]
SECURE_HSTS_SECONDS = env.int("TRAINHUB_HSTS_SECONDS", default=365 * 24 * 3600) if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_AGE = 14 * 24 * 3600
# Several hubs on one host (other ports) must not overwrite each other's session.
SESSION_COOKIE_NAME = f"trainhub_session_{PORT}"
CSRF_COOKIE_NAME = f"trainhub_csrf_{PORT}"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "trainhub.error_pages.csrf_failed"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- Applications ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "simple_history",
    "django_htmx",
    "csp",
    "axes",
    "trainhub",
    "projects",
    "runs",
    "artifacts",
]
MIDDLEWARE = [
    "trainhub.api.errors.UnavailableMiddleware",
    "trainhub.node_path.NodePathMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "trainhub.headers.PrivateAnswersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "trainhub.urls"
WSGI_APPLICATION = "trainhub.wsgi.application"
APPEND_SLASH = False  # the API's paths carry no trailing slash
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
            "builtins": ["trainhub.templatetags.formatting"],
        },
    }
]

# --- Database -------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR}/trainhub.sqlite3")}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "trainhub.sqlite_queue"
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,  # seconds; afterwards the caller gets 503
        # FULL: what was answered with 2xx survives a power loss.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; "
        # 32 MB: a page that is written again and again, such as a chunk that fills, goes to the file once.
        "PRAGMA wal_autocheckpoint=8000;",
    }
else:
    _database["CONN_HEALTH_CHECKS"] = True
    _database.setdefault("OPTIONS", {}).update(
        {
            # work_mem: the sets of runs that lists look into must fit in it; here a million do.
            "options": "-c statement_timeout=30000 -c lock_timeout=5000 -c work_mem=32MB",
            "connect_timeout": 5,
        }
    )
_database["CONN_MAX_AGE"] = 600
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People and tokens ----------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "sesame.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/ui/sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/ui/sign-in"
# Sign-in links: valid for an hour, and once, as the sign-in moves the user's last_login.
SESAME_MAX_AGE = 3600
SESAME_ONE_TIME = True
SESAME_TOKEN_NAME = "link"  # noqa: S105 - the name of a query parameter
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_VERBOSE = False
KNOX_TOKEN_MODEL = "projects.ApiToken"  # noqa: S105 - the name of a model
MIGRATION_MODULES = {"knox": None}  # its own table of tokens is not used, and would only stand in the way
REST_KNOX = {
    "TOKEN_MODEL": "projects.ApiToken",
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": timedelta(days=90),
    "TOKEN_LIMIT_PER_USER": None,
    "AUTO_REFRESH": False,
    "TOKEN_PREFIX": "",
}

# --- REST API -------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "trainhub.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["trainhub.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "trainhub.api.renderers.OrjsonRenderer",
        "trainhub.api.renderers.BrowsablePage",
    ],
    "DEFAULT_FILTER_BACKENDS": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "trainhub.api.errors.handle_exception",
    "DATETIME_FORMAT": "iso-8601",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "trainhub",
    "DESCRIPTION": "Projects, training runs, telemetry and artifacts of a trainhub installation.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RunStatusEnum": "runs.lifecycle.Status",
        "ProjectStatusEnum": "projects.models.ProjectStatus",
        "ArtifactStateEnum": "artifacts.models.ArtifactState",
        "ArtifactTypeEnum": "artifacts.models.ArtifactType",
        "TagValueEnum": "artifacts.models.TagValue",
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # bytes of one JSON body; files are streamed and not counted
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# --- Training -------------------------------------------------------------------------------------
RECIPE_FOLDERS = [BASE_DIR / "recipes", *folders("TRAINHUB_RECIPES")]
DEFAULT_RECIPE = env.str("TRAINHUB_DEFAULT_RECIPE", default="simulate")
DATASET_FOLDERS = [DATA_DIR / "datasets", *folders("TRAINHUB_DATASETS")]
TRAINER_PYTHON = env.str("TRAINHUB_PYTHON", default=sys.executable)
LOCAL_SLOTS = env.int("TRAINHUB_LOCAL_SLOTS", default=4)  # runs at once on this machine
LOCAL_GPUS = env.int("TRAINHUB_LOCAL_GPUS", default=-1)  # -1: count them with nvidia-smi
SCHEDULER_INTERVAL_SECONDS = env.float("TRAINHUB_SCHEDULER_INTERVAL", default=0.2)
START_LIMIT_SECONDS = env.float("TRAINHUB_START_LIMIT", default=120)
UNREACHABLE_AFTER_SECONDS = env.float("TRAINHUB_UNREACHABLE_AFTER", default=30)
LOST_AFTER_SECONDS = env.float("TRAINHUB_LOST_AFTER", default=600)
# Requests that wait (Prefer: wait=N) hold a thread: at most this many in one web process, so that others are served.
MAX_WAITING_REQUESTS = env.int("TRAINHUB_MAX_WAITING", default=4)
MAX_WAIT_SECONDS = env.float("TRAINHUB_MAX_WAIT", default=60)

# --- Pages, times, logs ---------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing is uploaded through Django
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.str("TRAINHUB_LOG_LEVEL", default="WARNING")},
    "loggers": {
        "trainhub": {"level": "INFO"},
        "runs": {"level": "INFO"},
        "django.request": {"level": "ERROR"},  # a refused request is the caller's news, not the operator's
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
