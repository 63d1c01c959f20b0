"""Settings of trainhub. Every one that an operator may change is an environment variable, see docs/operations.md."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from trainhub import __version__
from trainhub.databases import database_settings
from trainhub.installation import Environment, prepare_data_folder, read_bucket, read_or_make_secret
from trainhub.logs import logging_config

env = Environment()
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

# --- Where artifacts live -------------------------------------------------------------------------
# New ones go to `file`, the folder store/ in DATA_DIR, or to `s3://bucket/prefix`. TRAINHUB_S3 names the bucket of
# earlier ones when new ones go to files again. Credentials and region are the usual AWS_* variables, read by botocore.
_store = env.str("TRAINHUB_STORE", default="file")
STORE = "file" if _store == "file" else "s3"
S3_BUCKET = (
    read_bucket(env.str("TRAINHUB_S3", default=""), name="TRAINHUB_S3") if STORE == "file" else read_bucket(_store)
)
S3_ENDPOINT = env.str("AWS_ENDPOINT_URL_S3", default="") or env.str("AWS_ENDPOINT_URL", default="")
# What nodes and browsers call the server, where that is another name than the hub's.
S3_PUBLIC_ENDPOINT = env.str("TRAINHUB_S3_PUBLIC_ENDPOINT", default="").rstrip("/")
# Of uploads from nodes; larger for files that would have more than 10,000 parts. 5 MiB is the protocol's least.
S3_PART_BYTES = max(5, env.int("TRAINHUB_S3_PART_MIB", default=64)) * 1024 * 1024

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
# Runners beside the hub speak plain HTTP over loopback, and so do probes and monitoring.
SECURE_REDIRECT_EXEMPT = [r"^node/", r"^health"]
SECURE_HSTS_SECONDS = env.int("TRAINHUB_HSTS_SECONDS", default=365 * 24 * 3600) if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_ENGINE = "trainhub.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600
# Several hubs on one host (other ports) must not overwrite each other's session; the web servers of one hub share it.
_cookies = _public.port or _public.scheme
SESSION_COOKIE_NAME = f"trainhub_session_{_cookies}"
CSRF_COOKIE_NAME = f"trainhub_csrf_{_cookies}"
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
    "django.forms",
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
    "mlflow_api",
]
MIDDLEWARE = [
    "trainhub.requests.RequestMiddleware",
    "trainhub.error_pages.UnavailableMiddleware",
    "trainhub.node_path.NodePathMiddleware",
    "trainhub.charset.CharsetMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "trainhub.headers.PrivateAnswersMiddleware",
    "trainhub.sessions.SessionMiddleware",
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
DATABASES = {"default": database_settings(env.str("DATABASE_URL", default=f"sqlite:///{DATA_DIR}/trainhub.sqlite3"))}
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
AXES_LOCKOUT_CALLABLE = "trainhub.error_pages.locked_out"
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

# What monitoring may read /health/metrics with, beside the tokens of operators; empty: those alone.
METRICS_TOKEN = env.str("TRAINHUB_METRICS_TOKEN", default="")
BACKUPS = env.str("TRAINHUB_BACKUPS", default="")  # where `doctor` looks how old the newest backup is

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
    "VERSION": __version__,
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
PROGRAM_FOLDERS = folders("TRAINHUB_PROGRAMS")
PROGRAM_DECLARATION = BASE_DIR / "recipes" / "script"  # the recipe by which programs without a recipe.toml run
DEFAULT_RECIPE = env.str("TRAINHUB_DEFAULT_RECIPE", default="simulate")
DATASET_FOLDERS = [DATA_DIR / "datasets", *folders("TRAINHUB_DATASETS")]
TRAINER_PYTHON = env.str("TRAINHUB_PYTHON", default=sys.executable)
# The file that declares the executors, None without one: then there is one, `local`, from the next two.
EXECUTORS_FILE = Path(env.str("TRAINHUB_EXECUTORS")).absolute() if env.str("TRAINHUB_EXECUTORS", default="") else None
LOCAL_SLOTS = env.int("TRAINHUB_LOCAL_SLOTS", default=4)  # runs at once on this machine
LOCAL_GPUS = env.int("TRAINHUB_LOCAL_GPUS", default=-1)  # -1: count them with nvidia-smi
SCHEDULER_INTERVAL_SECONDS = env.float("TRAINHUB_SCHEDULER_INTERVAL", default=0.2)
START_LIMIT_SECONDS = env.float("TRAINHUB_START_LIMIT", default=120)
UNREACHABLE_AFTER_SECONDS = env.float("TRAINHUB_UNREACHABLE_AFTER", default=30)
LOST_AFTER_SECONDS = env.float("TRAINHUB_LOST_AFTER", default=600)
# Requests that wait (Prefer: wait=N) hold a thread: at most this many in one web process, so that others are served.
MAX_WAITING_REQUESTS = env.int("TRAINHUB_MAX_WAITING", default=4)
# Files that one web process sends, and as many that it takes, at once; for the same reason.
MAX_TRANSFERS = env.int("TRAINHUB_MAX_TRANSFERS", default=2)
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
FORM_RENDERER = "trainhub.pages.FormRenderer"
LOGGING = logging_config()
