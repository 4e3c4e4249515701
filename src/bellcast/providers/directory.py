"""The providers from the settings and the store. They are created on first use, and again after a change."""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType, field

from bellcast.channels.delivery import NamedProvider, delivery_error
from bellcast.channels.email import Email
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import EXTERNAL_CHANNELS, ChannelConfig, ExternalChannel, ProviderRate
from bellcast.documents.store import Documents
from bellcast.documents.types import CACHE_SECONDS, MAX_CACHED, MAX_CHANGE_ROUNDS, MAX_OF_KIND, Document, is_cached
from bellcast.inbox.types import NotificationType
from bellcast.kernel import times
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.concurrency import CallBatcher
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListPage, ListQuery
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Invalid, NotFound, PreconditionFailed, SettingsError, Unavailable
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.jobs.slots import Destination, Destinations
from bellcast.kernel.outbound.connection_steps import TestReport
from bellcast.kernel.outbound.http import HttpClients
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.providers import apprise, vendor_api
from bellcast.providers.connection_test import ProviderSteps
from bellcast.providers.telegram import TelegramProvider
from bellcast.providers.twilio import TwilioProvider
from bellcast.providers.types import (
    KINDS,
    SETTING_PREFIX,
    ConfiguredProvider,
    MailServer,
    OptOut,
    OutgoingMessage,
    Provider,
    ProviderFields,
    Receipt,
    ReceiptRequest,
    Setup,
    UnusableProvider,
)
from bellcast.providers.vonage import VonageProvider
from bellcast.recipients.store import PushEndpoints, Recipients
from bellcast.recipients.types import ChatAddresses

log = structlog.get_logger(__name__)


def _vendor(name: str) -> Any:
    """Import a vendor when it is used: cryptography takes 9 MB, aiosmtplib and `email` take 1 MB, and few servers need
    them."""
    return importlib.import_module(f"bellcast.providers.{name}")


# The supported vendors, by channel and scheme of the URL. A new vendor is one line here, and a module in `providers`.
VENDORS: Mapping[ExternalChannel, Mapping[str, Callable[[Setup], Provider]]] = {
    "email": dict.fromkeys(
        ("smtp", "smtps"),
        lambda one: _vendor("smtp").SMTPProvider(one.url, timeout=one.timeout, connect=one.connect),
    ),
    "sms": {"twilio": TwilioProvider, "vonage": VonageProvider},
    "push": {
        "fcm": lambda one: _vendor("fcm").FCMProvider(one),
        "apns": lambda one: _vendor("apns").APNsProvider(one),
    },
    "chat": {"telegram": TelegramProvider, apprise.SCHEME: apprise.AppriseProvider},
}

KIND = "providers"
# Label in metrics of the providers of all tenants. No key is equal, because keys have no space.
TENANTS_LABEL = "of tenants"
# Sender of simulated e-mails, if no provider has one.
SIMULATED_SENDER = ("bellcast@localhost", None)
TEST_TITLE = "Test message from Bellcast"


class Entry(Struct, frozen=True):
    """A provider with its object as last read, and the stored body of the object, which providers from the settings have not."""

    configured: ConfiguredProvider
    named: NamedProvider
    body: bytes = b""


class ProviderDirectory(Struct, eq=False):
    """Providers from the settings and the store, for deliveries and for operators."""

    db: Engine
    clock: Clock
    real_clock: Clock
    clients: HttpClients
    config: ChannelConfig
    encryption: Encryption
    rates: TokenBuckets
    destinations: Destinations
    _settings: list[Entry] = field(default_factory=list)
    # By tenant: until when they are cached, and the providers by key.
    _stored: dict[str, tuple[int, dict[str, Entry]]] = field(default_factory=dict)
    _changes: int = 0
    _replaced: list[Entry] = field(default_factory=list)  # to be closed
    _reads: "CallBatcher[ProviderDirectory, Sequence[Entry]]" = field(
        default_factory=lambda: CallBatcher(_read_once, sys.maxsize)
    )

    def __post_init__(self) -> None:
        """Create the providers from the settings. Raises SettingsError."""
        for channel in EXTERNAL_CHANNELS:
            for number, text in enumerate(getattr(self.config, channel), 1):
                key, fields = f"{SETTING_PREFIX}{channel}-{number}", ProviderFields(channel=channel, url=text)
                try:
                    named = self._create(key, DEFAULT_TENANT, fields, is_trusted=True)
                except ValueError as error:
                    raise SettingsError(f"BELLCAST_{channel.upper()}: the URL {error}.") from None
                self._settings.append(Entry(_without_secret(DEFAULT_TENANT, key, fields), named))

    # --- delivery

    async def providers(self, tenant: str, channel: ExternalChannel, since: int = 0) -> Sequence[NamedProvider]:
        """Return the active providers of a channel in failover order: the tenant's own, else the project's, read at `since` or
        later. So messages without a provider read them, those that were due before the read together."""
        own = [] if tenant == DEFAULT_TENANT else _active(await self._entries(tenant, since), channel)
        if own:
            return own
        return _active([*self._settings, *await self._entries(DEFAULT_TENANT, since)], channel)

    async def offered_channels(
        self, tenant: str, recipient: str, types: Iterable[NotificationType]
    ) -> Sequence[Channel]:
        """Return the channels that pages of preferences offer: those with a provider, those that a type, the settings or the
        recipient's newest messages name, and, as push to browsers and chat webhooks need no provider, those with an address
        of the recipient."""
        newest = ListQuery(limit=20, tenants=[tenant], filters={"recipient": recipient})
        named = {"inbox", *(one.channel for one in (await Messages(self.db).page(newest)).items)}
        named.update(self.config.default, self.config.simulate)
        for type in types:
            named |= type.named_channels()
        if not {"push", "chat"} <= named:
            profile = (await Recipients(self.db).profiles(tenant, [recipient])).get(recipient)
            named |= {"chat"} if profile is not None and profile.chat != ChatAddresses() else set()
            named |= {"push"} if await PushEndpoints(self.db).page(tenant, recipient) else set()
        return [one for one in CHANNELS if one in named or (one != "inbox" and await self.providers(tenant, one))]

    async def can_deliver(self, tenant: str, channel: ExternalChannel, planned: Engine | None = None) -> bool:
        """Return whether a tenant's channel has an active provider, or will have one when providers are stored as `planned`
        reads them. Push to browsers and chat webhooks need none."""
        if channel in self.config.simulate or channel in ("push", "chat"):
            return channel not in self.config.simulate
        if planned is None:
            return bool(await self.providers(tenant, channel))
        stored = [
            msgspec.json.decode(one.body, type=ProviderFields)
            for owner in dict.fromkeys((tenant, DEFAULT_TENANT))
            for one in await Documents(planned).page(KIND, owner, "", MAX_OF_KIND)
        ]
        return bool(_active(self._settings, channel)) or any(one.active and one.channel == channel for one in stored)

    async def email_sender(self, tenant: str, key: str | None) -> tuple[str, str | None]:
        """Return the sender address and name of the provider with this key, else of the first active one."""
        active = [(one.key, one.provider) for one in await self.providers(tenant, "email")]
        senders = {name: provider.sender for name, provider in active if isinstance(provider, MailServer)}
        return senders.get(key or "") or next(iter(senders.values()), SIMULATED_SENDER)

    async def send_email(self, tenant: str, mail: OutgoingMessage) -> bool:
        """Send an e-mail at once, without storing it. Return False if e-mail is simulated. Raises Unavailable."""
        if not await self.can_deliver(tenant, "email"):
            return False
        for named in await self.providers(tenant, "email"):
            try:
                async with named.destination.call():
                    await named.provider.send(mail)
            except Exception as failure:  # noqa: BLE001  the next provider may work
                log.warning("email_send_failed", provider=named.key, error=str(delivery_error(named.key, failure)))
            else:
                return True
        raise Unavailable("No e-mail provider accepts messages at the moment: test it on its page.")

    async def stored_mail_servers(self, limit: int) -> tuple[dict[str, Provider], int]:
        """Return the active e-mail providers in the store by their names, at most `limit`, those of the project first, and
        the number of the others."""
        servers: dict[str, Provider] = {}
        rest = 0
        async for tenant, document in Documents(self.db).every(KIND):
            fields = msgspec.json.decode(document.body, type=ProviderFields)
            if not fields.active or fields.channel != "email":
                continue
            if len(servers) == limit:
                rest += 1
                continue
            name = document.key if tenant == DEFAULT_TENANT else f"{document.key} of tenant {tenant}"
            entry = next((one for one in await self._entries(tenant) if one.configured.key == document.key), None)
            if entry is not None:  # not deleted since
                servers[name] = entry.named.provider
        return servers, rest

    async def close(self) -> None:
        """Close the providers' connections."""
        stored = [entry for _, entries in self._stored.values() for entry in entries.values()]
        await _close([*self._settings, *stored, *self._replaced])

    # --- for operators

    async def find(self, tenant: str, key: str) -> ConfiguredProvider | None:
        """Return the tenant's provider, else the project's."""
        entry = await self._find(tenant, key)
        return None if entry is None else entry.configured

    async def unknown(self, tenant: str, key: str) -> NotFound:
        """Return the error for an unknown provider, with the nearest key."""
        near = await Documents(self.db).suggestion(KIND, tenant, key)
        return NotFound(f"There is no provider with this key{near or '.'}")

    async def page(self, query: ListQuery) -> ListPage[ConfiguredProvider]:
        """Return the tenants' own providers by tenant and key. Providers from the settings belong to the project."""
        stored = await Documents(self.db).owned(msgspec.structs.replace(query, filters={"kind": KIND}))
        found = [self._configured(tenant, document) for tenant, document in stored.items]
        if query.tenants is None or DEFAULT_TENANT in query.tenants:
            of_settings = [entry.configured for entry in self._settings]
            found += [one for one in of_settings if (one.tenant, one.key) > (query.after or ())]
        shown = sorted(found, key=lambda one: (one.tenant, one.key))[: query.limit]
        has_next = stored.next is not None or len(found) > query.limit
        return ListPage(shown, (shown[-1].tenant, shown[-1].key) if has_next else None)

    async def put(
        self, tenant: str, key: str, fields: ProviderFields, replaces: bytes | UnsetType | None = UNSET
    ) -> tuple[ConfiguredProvider, bool, bytes]:
        """Create or replace a provider; return whether it is new, and its stored body. A masked URL keeps the stored one.
        `…@` keeps the stored credentials, provided that the URL names the same server. Raises Invalid for a URL that
        cannot be used, and PreconditionFailed if the stored body is not `replaces`."""
        for _ in range(MAX_CHANGE_ROUNDS):
            usable, before, body = await self._usable(tenant, key, fields)
            if replaces not in (UNSET, before):
                raise PreconditionFailed
            if await Documents(self.db).change(KIND, tenant, key, before, body, request_time(self.clock, before)):
                self.forget(tenant)
                return _without_secret(tenant, key, usable), before is None, body
        raise Unavailable("The provider is being changed by too many requests.")

    async def plan(self, tenant: str, key: str, fields: ProviderFields) -> tuple[ConfiguredProvider, bytes]:
        """Return the provider and the body that `put` would write. Raises Invalid like `put`."""
        usable, _, body = await self._usable(tenant, key, fields)
        return _without_secret(tenant, key, usable), body

    async def _usable(
        self, tenant: str, key: str, fields: ProviderFields
    ) -> tuple[ProviderFields, bytes | None, bytes]:
        """Return the fields, with masked credentials replaced by the stored ones, the stored body, and theirs. Raises Invalid
        if the URL cannot be used."""
        before, stored = await Documents(self.db).get(KIND, tenant, key), ""
        if before is not None:
            with contextlib.suppress(ValueError):  # a URL that cannot be decrypted provides no credentials
                stored = self.secret_fields(tenant, before).url
        try:
            fields = msgspec.structs.replace(fields, url=vendor_api.with_credentials_of(fields.url, stored))
            self._create("", DEFAULT_TENANT, fields, is_trusted=False)
        except ValueError as error:
            raise Invalid.of("url", str(error)) from None
        encrypted = msgspec.structs.replace(fields, url=self.encryption.encrypt(fields.url, _place(tenant, key)))
        return fields, None if before is None else before.body, msgspec.json.encode(encrypted)

    async def delete(self, tenant: str, key: str, replaces: bytes | UnsetType | None = None) -> bool:
        """Delete a provider; return whether there was one. Raises PreconditionFailed if the stored body is not `replaces`."""
        if not replaces:
            deleted = await Documents(self.db).delete(KIND, tenant, key)
        elif not (deleted := await Documents(self.db).change(KIND, tenant, key, replaces, None, self.clock.now())):
            raise PreconditionFailed
        self.forget(tenant)
        return deleted

    async def test(self, tenant: str, key: str, to: str | None) -> TestReport:
        """Connect and check the credentials, or send a test message. Raises NotFound."""
        entry = await self._find(tenant, key)
        if entry is None:
            raise await self.unknown(tenant, key)
        is_trusted = any(entry is one for one in self._settings)
        return await self._test(entry, to, is_trusted=is_trusted)

    async def test_first(self, tenant: str, channel: ExternalChannel) -> TestReport:
        """Test the provider that is tried first, as `test` does. Raises NotFound without one."""
        active = await self.providers(tenant, channel)
        if not active:
            raise NotFound(f"No active provider delivers {channel} messages: they are simulated.")
        return await self.test(tenant, active[0].key, None)

    async def test_values(self, tenant: str, key: str, fields: ProviderFields, to: str | None) -> TestReport:
        """Test a provider that is not stored, like `test`. Raises Invalid like `put`."""
        fields, *_ = await self._usable(tenant, key, fields)
        named = self._create(key, tenant, fields, is_trusted=False)
        try:
            return await self._test(Entry(_without_secret(tenant, key, fields), named), to, is_trusted=False)
        finally:
            await named.provider.close()

    async def _test(self, entry: Entry, to: str | None, *, is_trusted: bool) -> TestReport:
        fields, id, message = entry.configured.fields, f"test-{self.clock.now()}", None
        if to is not None:
            content: Any = {"title": TEST_TITLE, "text": TEST_TITLE}
            if fields.channel == "email":
                content = Email(subject=TEST_TITLE, text=TEST_TITLE)
            message = OutgoingMessage(id=id, to=to, at=times.to_rfc3339(self.clock.now()), content=content)
        guard = None if is_trusted else self.clients.guard
        # Also while it is skipped
        named = msgspec.structs.replace(entry.named, destination=Destination("test", 1, self.destinations))
        return await ProviderSteps(fields.url, named, message, guard).run()

    async def receipt(self, tenant: str, key: str, request: ReceiptRequest) -> Receipt | OptOut | None:
        """Verify and parse a vendor's request about a message. Raises PermissionError if its signature is wrong or the provider
        is unknown or has no receipts: strangers do not learn keys. Raises Unavailable if its URL cannot be used here."""
        entry = await self._find(tenant, key)
        provider = None if entry is None else entry.named.provider
        if isinstance(provider, UnusableProvider):
            raise Unavailable(f"The provider's URL {provider.problem}.")
        parse = getattr(provider, "receipt", None)
        if parse is None:
            raise PermissionError("no receipts")
        result: Receipt | OptOut | None = parse(request)
        return result

    def receipts_url(self, tenant: str, key: str) -> str:
        """Return the URL for the vendor's receipts, which is part of their signature."""
        query = f"?tenant={quote(tenant, safe='')}" if tenant else ""
        return f"{(self.config.public_url or '').rstrip('/')}/v1/providers/{key}/receipts{query}"

    # --- entries

    async def _find(self, tenant: str, key: str) -> Entry | None:
        for owner in dict.fromkeys((tenant, DEFAULT_TENANT)):
            known = {entry.configured.key: entry for entry in await self._entries(owner)}
            if key in known:
                return known[key]
        return next((entry for entry in self._settings if entry.configured.key == key), None)

    async def _entries(self, tenant: str, since: int = 0) -> Sequence[Entry]:
        """Return the stored providers of a tenant, as `providers` does. Calls that need a read share one that begins after them."""
        until, known = self._stored.get(tenant, (0, {}))
        if is_cached(until, self.clock.now()) and until - int(CACHE_SECONDS * 1000) > since:
            return list(known.values())
        found = await self._reads.call(tenant, self)
        # Not in the read, which others wait for: a server that hangs takes its whole time limit.
        replaced, self._replaced = self._replaced, []
        await _close(replaced)
        return found

    async def read(self, tenant: str) -> Sequence[Entry]:
        """Read the stored providers of a tenant. Unchanged ones keep their connections."""
        changes, until = self._changes, self.clock.now() + int(CACHE_SECONDS * 1000)
        documents = await Documents(self.db).page(KIND, tenant, "", MAX_OF_KIND)
        _, known = self._stored.get(tenant, (0, {}))
        entries: dict[str, Entry] = {}
        for one in documents:
            if (unchanged := known.get(one.key)) is not None and unchanged.body == one.body:
                entries[one.key] = unchanged
                continue
            configured = self._configured(tenant, one)
            try:
                named = self._create(one.key, tenant, self.secret_fields(tenant, one), is_trusted=False)
            except ValueError as error:
                log.error("provider_unusable", provider=one.key, tenant=tenant, reason=str(error))  # noqa: TRY400  the message is enough
                unusable = UnusableProvider(KINDS[configured.fields.channel], str(error))
                destination = Destination(f"provider {one.key}", 1, self.destinations, tenant)
                named = NamedProvider(one.key, unusable, destination, metric_label=_metric_label(tenant))
            entries[one.key] = Entry(configured, named, one.body)
        if len(self._stored) >= MAX_CACHED:  # most tenants have no own providers
            self._stored = {owner: stored for owner, stored in self._stored.items() if stored[1]}
        # A change during the read may not be in it.
        self._stored[tenant] = until if changes == self._changes else 0, entries
        self._replaced += [entry for entry in known.values() if entries.get(entry.configured.key) is not entry]
        return list(entries.values())

    def _create(self, key: str, tenant: str, fields: ProviderFields, *, is_trusted: bool) -> NamedProvider:
        """Create a provider. Raises ValueError."""
        clients = self.clients
        if not is_trusted:
            # Refuse private addresses. Raises ValueError.
            host = vendor_api.split(fields.url).hostname or ""
            if host != vendor_api.VENDOR_HOST and (problem := self.clients.guard.host_problem(host)) is not None:
                raise ValueError(problem)
        setup = Setup(
            url=fields.url,
            http=clients.trusted if is_trusted else clients.guarded,
            http2=clients.trusted_http2 if is_trusted else clients.guarded_http2,
            connect=(clients.resolver if is_trusted else clients.guard).connect,
            clock=self.real_clock,
            timeout=times.seconds(fields.timeout),
            may_read_files=is_trusted,
            receipts_url=self.receipts_url(tenant, key),
        )
        rate = ProviderRate(f"provider\x1f{tenant}\x1f{key}", fields.rate, self.rates)
        # A changed provider may have another server: it begins without timeouts.
        destination = Destination(f"provider {key}", fields.concurrency, self.destinations, tenant)
        return NamedProvider(key, new_provider(fields.channel, setup), destination, rate, _metric_label(tenant))

    def _configured(self, tenant: str, document: Document) -> ConfiguredProvider:
        try:
            return _without_secret(tenant, document.key, self.secret_fields(tenant, document))
        except ValueError:
            fields = msgspec.structs.replace(msgspec.json.decode(document.body, type=ProviderFields), url="…")
            return ConfiguredProvider(key=document.key, tenant=tenant, fields=fields, secret=vendor_api.HIDDEN)

    def secret_fields(self, tenant: str, document: Document) -> ProviderFields:
        """Return the decrypted fields. Raises ValueError if the URL cannot be decrypted."""
        fields = msgspec.json.decode(document.body, type=ProviderFields)
        decrypted = self.encryption.decrypt(fields.url, _place(tenant, document.key))
        return msgspec.structs.replace(fields, url=decrypted)

    def forget(self, tenant: str) -> None:
        """Read a tenant's providers again when they are next used, after this process changed one."""
        _, known = self._stored.get(tenant, (0, {}))
        self._stored[tenant] = (0, known)
        self._changes += 1


def _active(entries: Sequence[Entry], channel: ExternalChannel) -> list[NamedProvider]:
    """Return active providers in failover order. Among equals, those from the settings come first, in their order
    there."""
    active = [
        entry for entry in entries if entry.configured.fields.active and entry.configured.fields.channel == channel
    ]
    return [entry.named for entry in sorted(active, key=lambda entry: entry.configured.fields.priority)]


async def _read_once(tenant: str, directories: Sequence[ProviderDirectory]) -> Sequence[Sequence[Entry]]:
    """Read the stored providers of a tenant for several calls of one directory."""
    return [await directories[0].read(tenant)] * len(directories)


async def _close(entries: Iterable[Entry]) -> None:
    await asyncio.gather(*(entry.named.provider.close() for entry in entries))


def _without_secret(tenant: str, key: str, fields: ProviderFields) -> ConfiguredProvider:
    masked = msgspec.structs.replace(fields, url=vendor_api.mask(fields.url))
    return ConfiguredProvider(key=key, tenant=tenant, fields=masked, secret=vendor_api.hint_of(fields.url))


def _metric_label(tenant: str) -> str | None:
    return None if tenant == DEFAULT_TENANT else TENANTS_LABEL


def _place(tenant: str, key: str) -> str:
    return f"{KIND}/{tenant}/{key}"


def new_provider(channel: ExternalChannel, setup: Setup) -> Provider:
    """Create a provider. Raises ValueError with a message that continues "the URL" and does not repeat it."""
    schemes = VENDORS[channel]
    scheme = setup.url.strip().partition("://")[0].lower()
    found = schemes.get(apprise.SCHEME if scheme.startswith(apprise.SCHEME) else scheme)
    if found is None:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return found(setup)
