"""Configuration of the identity provider of operators, filled from the settings."""

from collections.abc import Collection

from msgspec import Struct

from bellcast.operators.types import ROLES, Role

# Implicit group of every user of the provider.
EVERY_USER = "*"
# After this time, people who were removed at the provider lose access without further action.
SESSION_SECONDS = 3_600.0


class OidcConfig(Struct, frozen=True, kw_only=True):
    """An OpenID Connect provider; without an issuer, none is used. `role_map` is a list such as admins=owner."""

    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    name: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    role_map: tuple[str, ...] = ()
    session: float = SESSION_SECONDS

    def role_of(self, groups: Collection[str]) -> Role | None:
        """Return the most powerful role of a user with these groups; None without a role."""
        roles = roles_by_group(self.role_map)
        found = {roles[group] for group in (EVERY_USER, *groups) if group in roles}
        return next((role for role in ROLES if role in found), None)


def roles_by_group(role_map: Collection[str]) -> dict[str, Role]:
    """Parse `group=role` entries. Raises ValueError for an unknown role or an empty group."""
    found: dict[str, Role] = {}
    for entry in role_map:
        group, _, name = entry.rpartition("=")
        role = next((one for one in ROLES if one == name.strip()), None)
        if role is None or not group.strip():
            raise ValueError(entry)
        found[group.strip()] = role
    return found
