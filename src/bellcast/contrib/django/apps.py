"""The app's configuration."""

from django.apps import AppConfig
from django.core.signals import request_started, setting_changed
from django.db.backends.signals import connection_created


class BellcastConfig(AppConfig):
    name = "bellcast.contrib.django"
    label = "bellcast"
    verbose_name = "Bellcast"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bellcast.contrib.django import checks, conf, inbox_query, receivers, relaying

        setting_changed.connect(conf.forget, dispatch_uid="bellcast")
        # Rows left by the last process are sent once this one serves requests.
        request_started.connect(relaying.wake_once, dispatch_uid="bellcast")
        connection_created.connect(relaying.check_again, dispatch_uid="bellcast")
        checks.register()
        receivers.connect()
        inbox_query.install_on_users()
