"""Port: the configured providers, as used by the API."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.messages import ExternalChannel
from bellcast.model.providers import ProviderFields, SecretHint
from bellcast.ports.connection_tests import TestReport
from bellcast.ports.providers import OptOut, Receipt, ReceiptRequest


class ConfiguredProvider(Struct, frozen=True, kw_only=True):
    """A provider with its key; the URL is masked."""

    key: str
    tenant: str
    fields: ProviderFields
    secret: SecretHint


class ProviderDirectory(Protocol):
    """Providers from the settings and the store."""

    def problem(self, fields: ProviderFields) -> str | None:
        """Return why a provider's URL cannot be used, or None."""
        ...

    def of_settings(self) -> Sequence[ConfiguredProvider]:
        """Return the providers from the settings."""
        ...

    async def find(self, tenant: str, key: str) -> ConfiguredProvider | None:
        """Return the tenant's provider, else the project's."""
        ...

    async def page(self, tenant: str, after: str, limit: int) -> Sequence[ConfiguredProvider]:
        """Return the tenant's own providers by key. Providers from the settings belong to the project."""
        ...

    async def page_of_all(self, after: tuple[str, str], limit: int) -> Sequence[ConfiguredProvider]:
        """Return providers of all tenants by tenant and key, after these; those of the settings belong to the project."""
        ...

    async def check_count(self, tenant: str, key: str) -> None:
        """Raise Conflict if a tenant has the maximum number of providers without this one."""
        ...

    async def put(self, tenant: str, key: str, fields: ProviderFields) -> tuple[ConfiguredProvider, bool]:
        """Create or replace a provider; return whether it is new. A masked URL keeps the stored one. `…@` keeps the
        stored credentials, provided that the URL names the same server. Raises Invalid for a URL that cannot be
        used."""
        ...

    async def plan(self, tenant: str, key: str, fields: ProviderFields) -> ConfiguredProvider:
        """Return the provider that `put` would write. Raises Invalid like `put`."""
        ...

    async def delete(self, tenant: str, key: str) -> bool:
        """Delete a provider; return whether there was one."""
        ...

    async def can_deliver(self, tenant: str, channel: ExternalChannel) -> bool:
        """Return whether an active provider delivers the messages of a tenant's channel."""
        ...

    async def email_sender(self, tenant: str, key: str | None) -> tuple[str, str | None]:
        """Return the sender address and name of the provider with this key, else of the first active one."""
        ...

    async def test(self, tenant: str, key: str, to: str | None) -> TestReport:
        """Connect and check the credentials, or send a test message. Raises NotFound."""
        ...

    async def test_first(self, tenant: str, channel: ExternalChannel) -> TestReport:
        """Test the provider that is tried first, as `test` does. Raises NotFound without one."""
        ...

    async def test_values(self, tenant: str, key: str, fields: ProviderFields, to: str | None) -> TestReport:
        """Test a provider that is not stored, like `test`. Raises Invalid like `put`."""
        ...

    async def receipt(self, tenant: str, key: str, request: ReceiptRequest) -> Receipt | OptOut | None:
        """Verify and parse a vendor's request about a message. Raises NotFound, PermissionError for a wrong signature,
        and ValueError if the vendor sends no receipts."""
        ...

    def receipts_url(self, tenant: str, key: str) -> str:
        """Return the URL for the vendor's receipts, which is part of their signature."""
        ...
