"""The inputs of decisions about a tenant's recipients: the type, the preferences, the addresses."""

from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from bellcast.channels import addresses
from bellcast.channels.catalog import Catalog, TenantSettings
from bellcast.channels.explanations import SubjectNames
from bellcast.channels.store.suppressions import Suppressions
from bellcast.channels.types import NewDecision, NewMessage
from bellcast.inbox.types import NotificationType
from bellcast.kernel import times
from bellcast.kernel.db.engine import Engine
from bellcast.preferences.decision import Decision, Layers, Occasion, decide
from bellcast.preferences.types import NO_PREFERENCES, Channel, Preferences, Priority
from bellcast.recipients.store import PushEndpoints, Recipients
from bellcast.recipients.types import Profile


class DecisionInputs(Struct, frozen=True):
    """The inputs for all recipients of a send, read once."""

    type_key: str
    type: NotificationType
    tenant: TenantSettings
    defaults: tuple[Preferences, Preferences]
    profiles: dict[str, Profile]
    suppressed: frozenset[tuple[str, str]]
    workflow: str | None = None

    def profile(self, key: str) -> Profile:
        """Return the recipient's profile; an unknown recipient has only a key."""
        return self.profiles.get(key) or Profile(key=key)

    def subject(self, recipient: str) -> SubjectNames:
        """Return the names in explanations to a recipient."""
        return SubjectNames(self.profile(recipient).name or recipient, self.type.name or self.type_key or None)

    def addresses(self, profile: Profile, channel: Channel) -> Sequence[str]:
        """Return the addresses that messages of a channel go to."""
        return addresses.deliverable(profile, channel, self.suppressed)

    def decide(
        self, profile: Profile, channel: Channel, priority: Priority, now: int, *, is_digest_due: bool = False
    ) -> Decision:
        """Apply the rules to one channel of one recipient."""
        tenant, project = self.defaults
        occasion = Occasion(
            channel=channel,
            type=self.type_key,
            priority=priority,
            now=now,
            zone=zone_of(profile, self.tenant),
            workflow=self.workflow,
            address_problem=addresses.problem(profile, channel, self.suppressed),
            is_digest_due=is_digest_due,
        )
        own = profile.preferences
        recipient = NO_PREFERENCES if own is None else msgspec.json.decode(own, type=Preferences)
        layers = Layers(recipient=recipient, tenant=tenant, project=project, rules=self.type)
        return decide(occasion, layers)


class RecipientInputs(Struct, frozen=True):
    """The recipients' part of the inputs: their profiles, and their suppressed addresses."""

    profiles: dict[str, Profile]
    suppressed: frozenset[tuple[str, str]]


async def read_recipients(
    db: Engine, tenant: str, recipients: Sequence[str], channels: Collection[Channel]
) -> RecipientInputs:
    """Read the recipients' part of the inputs."""
    profiles = await Recipients(db).profiles(tenant, recipients)
    if "push" in channels:
        endpoints = await PushEndpoints(db).addresses(tenant, recipients)
        for key in endpoints.keys() & profiles.keys():
            profiles[key] = msgspec.structs.replace(profiles[key], push=endpoints[key])
    return await with_suppressions(db, tenant, profiles, channels)


async def with_suppressions(
    db: Engine, tenant: str, profiles: dict[str, Profile], channels: Collection[Channel]
) -> RecipientInputs:
    """Add which addresses of these profiles are suppressed."""
    candidates = [
        (channel, address)
        for channel in channels
        for profile in profiles.values()
        for address in addresses.usable(profile, channel)
    ]
    return RecipientInputs(profiles, await Suppressions(db).find(tenant, candidates) if candidates else frozenset())


async def with_rules(
    catalog: Catalog, tenant: str, type_key: str, recipients: RecipientInputs, workflow: str | None = None
) -> DecisionInputs:
    """Add the rules of a type and a tenant."""
    return DecisionInputs(
        type_key=type_key,
        type=await catalog.type(tenant, type_key),
        tenant=await catalog.tenant(tenant),
        defaults=await catalog.preferences(tenant),
        profiles=recipients.profiles,
        suppressed=recipients.suppressed,
        workflow=workflow,
    )


async def read(
    db: Engine,
    catalog: Catalog,
    tenant: str,
    type_key: str,
    recipients: Sequence[str],
    channels: Sequence[Channel],
    workflow: str | None = None,
) -> DecisionInputs:
    """Read all inputs for decisions about these recipients and channels."""
    return await with_rules(
        catalog, tenant, type_key, await read_recipients(db, tenant, recipients, channels), workflow
    )


def record(
    decision: Decision, place: tuple[str, str, str, Channel], now: int, message: NewMessage | None = None
) -> NewDecision:
    """Return a decision as it is stored, about a tenant's notification to a recipient through a channel, with its message."""
    tenant, notification, recipient, channel = place
    return NewDecision(
        tenant=tenant,
        notification=notification,
        recipient=recipient,
        channel=channel,
        outcome=decision.outcome,
        rule=decision.rule,
        source=decision.by,
        message=None if message is None else message.id,
        due_at=message.due_at if message is not None and message.state in ("held", "failed") else decision.at,
        decided_at=now,
    )


def zone_of(profile: Profile, tenant: TenantSettings) -> ZoneInfo:
    """Return the recipient's zone, else the tenant's, which is the server's or has been found."""
    own = times.find_zone(profile.timezone) if profile.timezone else None
    return own or ZoneInfo(tenant.timezone)
