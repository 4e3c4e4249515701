"""`path("api/notifications/", include("bellcast.contrib.django.urls"))`."""

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_control

import bellcast
from bellcast.contrib.django import conf, views
from bellcast.contrib.django.views import ROUTES

app_name = "bellcast"
# As built by npm, or its source in a checkout.
BROWSER = Path(bellcast.__file__).parent / "browser"
LOADERS = [BROWSER / folder / "bellcast-load.js" for folder in ("dist", "src")]


def view() -> Any:
    """Return the kind of the views. By default, those of Django REST framework are used if the project uses it: the package
    alone, which others may have brought, does not suffice."""
    is_used = apps.is_installed("rest_framework") or hasattr(settings, "REST_FRAMEWORK")
    is_plain = (wanted := conf.current().choice("REST")) == "plain" or (wanted == "auto" and not is_used)
    return views.plain if is_plain else views.framework


# The responses are private to one user, and `token/` returns a secret.
_private = cache_control(no_store=True)

urlpatterns = [
    *(path(route, _private(view()(handlers)), name=name) for name, (route, handlers) in ROUTES.items()),
    path("session/", _private(views.session_view), name="session"),
    path("calls/", views.answer_calls, name="calls"),
    path(
        "bellcast-load.js",
        lambda request: HttpResponse(
            next(file for file in LOADERS if file.is_file()).read_bytes(), content_type="text/javascript"
        ),
        name="loader",
    ),
]
