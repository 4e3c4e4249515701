"""The Django project: its settings, its ASGI application, and the shops that it starts with."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import django
from django.conf import settings

PACKAGE = __package__ or "examples.shop_suite"
CONTEXT = "django.template.context_processors.request", "django.contrib.auth.context_processors.auth"


def configure(data: Path, bellcast: dict[str, Any]) -> None:
    """Configure Django once per process."""
    data.mkdir(parents=True, exist_ok=True)
    settings.configure(
        SECRET_KEY=_secret_key(data / "suite.key"),
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": data / "suite.db",
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "bellcast.contrib.django",
            f"{PACKAGE}.shop",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": [*CONTEXT, "django.contrib.messages.context_processors.messages"]},
            }
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.ScryptPasswordHasher"],
        # Several demo apps run on one host, and cookies are not separated by port.
        SESSION_COOKIE_NAME="suite_session",
        CSRF_COOKIE_NAME="suite_csrf",
        ROOT_URLCONF=f"{PACKAGE}.urls",
        AUTH_USER_MODEL="shop.User",
        LOGIN_URL="/login",
        LOGIN_REDIRECT_URL="/",
        LOGOUT_REDIRECT_URL="/login",
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        TIME_ZONE="Europe/London",  # where the shops are
        LOGGING_CONFIG=None,
        BELLCAST={"SECURITY_EVENTS": True, "REST": "plain", **bellcast},
    )
    django.setup()


def _secret_key(file: Path) -> str:
    """The key that signs sessions, kept next to the database."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(50))
    return file.read_text()


def create_app(bellcast: str, secret: str, data: Path) -> Any:
    """Configure the project, bring its database up to date, and return its ASGI application."""
    configure(data, {"URL": bellcast, "SECRET": secret})
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.core.asgi import get_asgi_application

    from bellcast.contrib.django.asgi import NotificationSocket

    # In a thread: `bellcast demo` calls this in an event loop, where Django refuses to use the database.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_prepare_database).result()
    return NotificationSocket.beside(ASGIStaticFilesHandler(get_asgi_application()))


def _prepare_database() -> None:
    """Bring the database up to date, and fill a new one."""
    from django.core.management import call_command
    from django.db import connections

    from .shop import seeds

    call_command("migrate", verbosity=0)
    seeds.create()
    connections.close_all()


def manage(data: Path, arguments: list[str]) -> None:
    """Run a command of Django's `manage.py`; Bellcast's address and secret come from the environment."""
    from django.core.management import execute_from_command_line

    configure(data, {})
    execute_from_command_line(["manage", *arguments])
