"""Sends and commands of the tests of the Django app."""

import io


def send(user, title="New sale", **fields):
    from bellcast.contrib.django import NotificationService

    return NotificationService.send_notification(user, title, fields.pop("message", ""), **fields)


def run(*command):
    from django.core.management import call_command

    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()
