"""Configuration of providers."""

from msgspec import Struct

from bellcast.model.messages import ExternalChannel

# Key prefix of providers from the settings, which cannot be written.
SETTING_PREFIX = "env-"


class SecretHint(Struct, frozen=True):
    """A secret that can be written and not read: whether it is set, and its last characters if it is too long to be guessed from
    them."""

    set: bool
    hint: str | None


class ProviderFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider of a channel. The provider with the lowest `priority` is tried first. `rate` limits messages per
    second on all nodes, `concurrency` concurrent messages in each process, and `timeout` the wait for a response."""

    channel: ExternalChannel
    url: str
    priority: int = 0
    rate: float | None = None
    concurrency: int = 10
    timeout: float | str = 30.0
    active: bool = True
