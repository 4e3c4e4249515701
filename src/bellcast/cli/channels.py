"""`bellcast message`, `mailbox`, `suppression`, `preference`, `provider`, `explain`, `replay` and `job`: messages and why they were sent,
addresses to which nothing is sent, preferences of recipients, providers, and retries of what failed."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bellcast.cli import objects, options, output
from bellcast.cli.objects import OwnerOption
from bellcast.cli.output import CommandError

MessageFilter = Annotated[str | None, options.option("VALUE", "Only messages with this value.")]

app = typer.Typer()
message = options.group(app, "message", "List, show and retry e-mails and other messages.")

# Poll interval: a server retries about 1,000 failures in this time, which is frequent enough for a progress bar.
POLL_INTERVAL_SECONDS = 0.25
ALL = "--all"
FILTERS = ("kind", "channel", "provider", "workflow", "job", "webhook", "cause", "since", "until")

IdsArgument = Annotated[list[str] | None, options.argument("[ID]...", "Ids of messages, runs and dead jobs.")]


def _message_line(one: dict[str, Any]) -> str:
    title = next((text for name in ("subject", "title", "text") if (text := one["content"].get(name))), "")
    first_line = str(title).partition("\n")[0][:60]
    return f"{one['id']}  {one['created_at'][:16]}  {one['channel']}  {one['state']}  {one['to']}  {first_line}"


messages = objects.CommandGroup(commands=message, plural="messages", key="The message's id.", key_name="ID")
messages.add_search(
    _message_line,
    "List messages, the newest first.",
    dict.fromkeys(("channel", "state", "recipient", "notification", "workflow"), MessageFilter),
)
messages.add_show("Show a message with its content and its attempts as JSON.")
messages.add_act("release", "Send a simulated message for real.", "release", "Would release", "Released")


@options.command(message)
def retry(
    client: "options.Bellcast",
    id: Annotated[str | None, options.argument("[ID]", "The message's id. Default: all failed messages.")] = None,
    channel: Annotated[str | None, options.option("CHANNEL", "Without ID: only messages of this channel.")] = None,
    since: Annotated[str | None, options.option("TIME", "Without ID: only messages created since this time.")] = None,
    tenant: OwnerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Retry messages that failed or bounced."""
    of: Any = {name: value for name, value in (("channel", channel), ("since", since)) if value is not None}
    where: Any = {"tenant": tenant, "dry_run": dry_run}
    if id is not None and of:
        raise CommandError("--channel and --since select among all messages", "leave out ID, or both options", 2)
    done = client.messages.retry_all(**where, **of) if id is None else client.messages.retry(id, **where)
    yield done
    if not done.retried:
        output.note("Nothing to retry: no such message failed or bounced.")
        return
    output.done(f"{'Would queue' if dry_run else 'Queued'} {done.retried} again")


@options.command(app, rich_help_panel="Send and follow")
def mailbox(
    client: "options.Bellcast",
    ttl: Annotated[str, options.option("DURATION", "How long the link is valid.")] = "1d",
    tenant: Annotated[str | None, options.option("TENANT", "The tenant.")] = None,
) -> Iterator[Any]:
    """Print a link to a page with all messages that were stored instead of sent."""
    link = client.messages.mailbox(ttl=ttl, tenant=tenant)
    yield link
    print(link["url"], flush=True)
    if not client.messages.list(state="simulated", limit=1, tenant=tenant).messages:
        owner = f"The tenant {tenant}" if tenant else "The default tenant"
        output.note(
            f"{owner} has no stored messages yet: send to a channel without a provider, or pass another --tenant."
        )


ChannelArgument = Annotated[str, options.argument("CHANNEL", "email, sms, push or chat.")]
AddressArgument = Annotated[str, options.argument("ADDRESS", "The address.")]

suppression = options.group(app, "suppression", "List, add and remove addresses to which nothing is sent.")


objects.CommandGroup(commands=suppression, plural="suppressions", key="The address.").add_list(
    lambda one: f"{one['channel']}  {one['address']}  {one['reason']}", "List suppressed addresses."
)


@options.command(suppression, "put")
def suppress(
    client: "options.Bellcast",
    channel: ChannelArgument,
    address: AddressArgument,
    reason: Annotated[str, options.option("TEXT", "The reason for the suppression.")] = "manual",
    tenant: OwnerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Suppress an address."""
    yield client.suppressions.put(channel, address, reason=reason, tenant=tenant, dry_run=dry_run)
    output.done(f"{'Would suppress' if dry_run else 'Suppressed'} {address}")


@options.command(suppression, "delete")
def allow(
    client: "options.Bellcast", channel: ChannelArgument, address: AddressArgument, tenant: OwnerOption = None
) -> None:
    """Allow an address again."""
    client.suppressions.delete(channel, address, tenant=tenant)
    output.done(f"Allowed {address}")


RecipientArgument = Annotated[str, options.argument("RECIPIENT", "The recipient: your app's user id.")]

preference = options.group(app, "preference", "Show, write and delete preferences of recipients; link to their page.")


preferences = objects.CommandGroup(
    commands=preference, plural="preferences", key="The recipient: your app's user id.", key_name="RECIPIENT"
)
preferences.add_show("Show a recipient's preferences as JSON, with the effective ones.")
preferences.add_put(
    "Replace a recipient's preferences. The recipient is KEY, else the file's `key`, else its name.",
    of="the preferences of ",
)


@options.command(preference, "delete")
def delete_preferences(client: "options.Bellcast", recipient: RecipientArgument, tenant: OwnerOption = None) -> None:
    """Delete a recipient's own preferences: the defaults apply."""
    client.preferences.put(recipient, {}, tenant=tenant)
    output.done(f"Deleted the preferences of {recipient}")


@options.command(preference)
def link(
    client: "options.Bellcast",
    recipient: RecipientArgument,
    ttl: Annotated[str, options.option("DURATION", "How long the link is valid.")] = "30d",
    tenant: OwnerOption = None,
) -> None:
    """Print a link to a page on which the recipient changes preferences without a login."""
    print(client.preferences.link(recipient, ttl=ttl, tenant=tenant)["url"], flush=True)


ProviderTenantOption = Annotated[
    str | None, options.option("TENANT", "The tenant's own provider. Default: the project's.")
]

provider = options.group(app, "provider", "List, show, write, test and delete providers.")


providers = objects.CommandGroup(
    commands=provider,
    plural="providers",
    key="The provider's key.",
    owner="The tenant's own provider. Default: the project's.",
)
providers.add_list(
    lambda one: (
        f"{one['key']}  {one['channel']}, {one['url']}, priority {one['priority']}"
        + ("" if one["active"] else ", not active")
    ),
    "List the providers.",
)
providers.add_show("Show a provider as JSON, with a masked URL.")
providers.add_put(
    "Write a provider. Its key is KEY, else that of the file, else its name.",
    detail=lambda written: f"{written['channel']}, {written['url']}",
)


@options.command(provider, "test")
def try_provider(
    client: "options.Bellcast",
    key: Annotated[str, options.argument("KEY", "The provider's key.")],
    to: Annotated[str | None, options.option("ADDRESS", "Send a test message to this address.")] = None,
    file: Annotated[Path | None, options.option("FILE", "Test these values, which are not stored.")] = None,
    tenant: ProviderTenantOption = None,
) -> None:
    """Test a provider: check its credentials, or send a message."""
    values = None if file is None else objects.read_object(file)[1]
    result = client.providers.test(key, to=to, values=values, tenant=tenant)
    failed = next((one for one in result["steps"] if one["state"] == "failed"), None)
    if failed is not None:
        raise CommandError(f"{key} does not work: {failed['detail']}", failed["fix"][:1].lower() + failed["fix"][1:])
    output.done(f"{key} works")


providers.add_delete("Delete a provider.")


OTHER_FACTS = "Connections and refused requests"
EXPLAIN_EPILOG = """\
[dim]Examples[/]

  bellcast explain alice
  bellcast explain alice --notification 0197…
  bellcast explain alice --type booking --channel email
  bellcast explain alice --type booking --since 2026-06-10T12:00:00Z

[dim]The secret is[/] BELLCAST_SECRET[dim], or the data folder's.[/]
"""


@options.command(app, rich_help_panel="Send and follow", epilog=EXPLAIN_EPILOG)
def explain(
    client: "options.Bellcast",
    recipient: Annotated[str, options.argument("RECIPIENT", "The recipient: your app's user id.")],
    notification: Annotated[str | None, options.option("ID", "Explain the decisions for this notification.")] = None,
    run: Annotated[str | None, options.option("ID", "Explain the decisions of this workflow run.")] = None,
    type: Annotated[str | None, options.option("TYPE", "Explain what would happen now for this type.")] = None,
    channel: Annotated[
        str | None, options.option("CHANNEL", "With --type: only inbox, email, sms, push or chat.")
    ] = None,
    since: Annotated[
        str | None,
        options.option("TIME", "Facts since this time. Without the other options, by default of the last day."),
    ] = None,
    tenant: Annotated[str | None, options.option("TENANT", "The recipient's tenant.")] = None,
) -> Iterator[Any]:
    """Explain why a recipient got or did not get a notification through a channel."""
    if [notification, run, type].count(None) < 2:
        raise typer.BadParameter("expected only one of --notification, --run and --type", param_hint="--notification")
    found = client.explain(
        recipient, notification=notification, run=run, type=type, channel=channel, since=since, tenant=tenant
    )
    yield found
    is_alone = notification is None and run is None and type is None
    lines = [found.text] if is_alone else [one.text for one in found.channels]
    for action in found.actions:
        body = " --body JSON" if action.method in ("PATCH", "PUT") else ""
        lines.append(f"  → {action.text} bellcast api {action.method} {action.path}{body}")
    # The facts of each notification, in order of its first one, then the others.
    groups: dict[str, list[str]] = {}
    for fact in sorted(found.facts, key=lambda one: not one.notification):
        title = f"{fact.title} ({fact.type}, {fact.notification})" if fact.notification else OTHER_FACTS
        groups.setdefault(title, ["", title]).append(f"  {fact.at:%Y-%m-%d %H:%M:%S}  {fact.text}")
    lines += [line for group in groups.values() for line in group]
    output.show(lines)


@options.command(app, rich_help_panel="Send and follow")
def replay(
    client: "options.Bellcast",
    ids: IdsArgument = None,
    kind: Annotated[str | None, options.option("KIND", "Only of this kind: message, run or job.")] = None,
    channel: Annotated[str | None, options.option("CHANNEL", "Only messages of this channel.")] = None,
    provider: Annotated[str | None, options.option("KEY", "Only messages that this provider refused.")] = None,
    workflow: Annotated[str | None, options.option("KEY", "Only runs of this workflow.")] = None,
    job: Annotated[str | None, options.option("KIND", "Only dead jobs of this kind.")] = None,
    webhook: Annotated[str | None, options.option("ID", "Only deliveries to this webhook.")] = None,
    cause: Annotated[str | None, options.option("TEXT", "Only failures with this cause.")] = None,
    since: Annotated[str | None, options.option("TIME", "Only failures created since this time.")] = None,
    until: Annotated[str | None, options.option("TIME", "Only failures created before this time.")] = None,
    all: Annotated[bool, typer.Option(ALL, help="All failures.")] = False,
    tenant: OwnerOption = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Retry failed and bounced messages, failed runs and dead jobs, and wait until all are retried."""
    values = (kind, channel, provider, workflow, job, webhook, cause, since, until)
    given: Any = {name: value for name, value in zip(FILTERS, values, strict=True) if value is not None}
    if [bool(ids), bool(given), all].count(True) != 1:
        raise CommandError(f"expected ids, filters, or {ALL}", "see `bellcast replay --help`", 2)
    result = client.replays.start(ids or None, all=all, tenant=tenant, dry_run=dry_run, **given)
    if not dry_run:
        id = result["id"]
        try:
            with output.progress("Replaying") as update:
                while (result := client.replays.get(id, tenant=tenant))["state"] == "running":
                    update(result["examined"], result["matched"])
                    threading.Event().wait(POLL_INTERVAL_SECONDS)
        except KeyboardInterrupt:
            output.note(f"The replay {id} continues; cancel it in the console, or with DELETE /v1/replays/{id}.")
            raise
    yield result
    if dry_run:
        matched = output.counted(result["matched"], "failure")
        output.done(f"Would retry {matched if result['exact'] else f'more than {matched}'}")
        for one in result["effects"]:
            subject = one["channel"] or one["workflow"] or one["job"]
            output.out().print(output.plain(f"{one['count']}  {one['kind']}  {subject}"), markup=False)
    else:
        output.done(
            f"Retried {result['retried']} of {result['examined']}", "" if result["state"] == "done" else result["state"]
        )


job = options.group(app, "job", "List, retry and delete jobs that failed several times in a row.")
jobs = objects.CommandGroup(commands=job, plural="jobs", key="The job's id.", key_name="ID")
jobs.add_list(
    lambda one: f"{one['id']}  {one['kind']}  {one['error'] or ''}".rstrip(),
    "List the dead jobs, with their last error.",
)
jobs.add_act("retry", "Retry a dead job, and reset its failure count.", "retry", "Would retry", "Retried")
jobs.add_delete("Delete a job. It never runs again.")
