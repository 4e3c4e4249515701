"""`bellcast template` and `type`: templates and notification types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import console, objects, options
from bellcast.cli.objects import DataOption, OwnerOption

# `--data` are the variables; the data folder is BELLCAST_DATA.
WITH_DATA = options.with_settings("URL")
TemplateKey = Annotated[str, options.argument("KEY", "The template's key.")]

app = typer.Typer()
template = options.group(app, "template", "List, show, write, import, preview, test and delete templates.")
objects.add_commands(template, "templates", "template")


@options.command(template, cls=WITH_DATA)
def preview(
    client: "options.Bellcast",
    key: TemplateKey,
    data: DataOption = None,
    recipient: Annotated[str | None, options.option("RECIPIENT", "Render for this recipient.")] = None,
    locale: Annotated[str | None, options.option("LOCALE", "Render in this language, such as de-AT.")] = None,
    tenant: OwnerOption = None,
) -> None:
    """Render a template as JSON, with the variables that have no value."""
    variables = console.parsed_json(data, "--data")
    console.json(client.templates.preview(key, variables, recipient=recipient, locale=locale, tenant=tenant))


@options.command(template, "import")
def import_email(
    client: "options.Bellcast",
    file: Annotated[
        Path, options.argument("FILE", "MJML or HTML, such as React Email writes; - reads standard input.")
    ],
) -> None:
    """Convert an e-mail of another tool to a template as JSON, for `put`. What was removed is on standard error; nothing is
    written."""
    source = objects.read_text(file)
    imported = client.templates.import_email(source, "mjml" if "<mjml" in source else "html")
    for one in imported["findings"]:
        line = f"line {one['line']}: " if one["line"] else ""
        console.note(console.plain(f"{one['severity']}: {line}{one['message']}"))
    console.json({"email": imported["part"]})


@options.command(template, "test", cls=WITH_DATA)
def send_test(
    client: "options.Bellcast",
    key: TemplateKey,
    channel: Annotated[str, options.argument("CHANNEL", "email, sms, push or chat.")],
    to: Annotated[str, options.argument("RECIPIENT", "The recipient.")],
    data: DataOption = None,
    tenant: OwnerOption = None,
) -> Iterator[Any]:
    """Send a test message to a recipient, regardless of preferences."""
    variables = console.parsed_json(data, "--data")
    sent = client.templates.test(key, channel, to, variables, tenant=tenant)
    yield sent
    done = "Sent" if sent["simulated"] is None else "Simulated, not sent"
    console.done(f"{done} to {to}", str(sent["message"]))


types = options.group(app, "type", "List, show, write and delete notification types.")
objects.add_commands(types, "types", "notification type")
