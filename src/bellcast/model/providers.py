"""Providers as the app configures them."""

from msgspec import Struct

from bellcast.model.messages import ExternalChannel

# Providers of the settings have keys with this prefix and cannot be written.
SETTING_PREFIX = "env-"


class SecretHint(Struct, frozen=True):
    """A secret that can be written and not read: whether it is set, and its last characters if it is too long to be guessed from
    them."""

    set: bool
    hint: str | None


class ProviderFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider of a channel. Of several, the lowest `priority` is tried first. `rate` is a limit of messages per second
    on all nodes, `concurrency` of simultaneous ones in each process; `timeout` limits the wait for an answer."""

    channel: ExternalChannel
    url: str
    priority: int = 0
    rate: float | None = None
    concurrency: int = 10
    timeout: float | str = 30.0
    active: bool = True
