"""Wires the sign-in of operators: sessions, passkeys and the identity provider."""

from typing import Any

from bellcast.kernel.encryption import Encryption
from bellcast.kernel.identities import Project
from bellcast.operators.console_sessions import ConsoleConfig, ConsoleSessions
from bellcast.operators.oidc import OidcProvider
from bellcast.operators.oidc_sign_in import OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.store import Operators
from bellcast.server.wire_engines import ServerEngines
from bellcast.settings import Settings


def services(engines: ServerEngines, settings: Settings, project: Project) -> dict[type[Any], Any]:
    """Return what operators sign in with, by its types."""
    server, db, clock, new_id = settings.server, engines.db, engines.real_clock, engines.context.new_id
    # Uses the project secret, which does not rotate, so that an operator's authenticator app stays valid.
    current, *previous = [one.secret.encode() for one in project.accepted]
    cipher = Encryption(current, previous)
    config = ConsoleConfig(
        networks=server.console_networks,
        require_mfa=server.require_mfa,
        external_session=settings.oidc.session,
    )
    sessions = ConsoleSessions(Operators(db), clock, new_id, cipher, config)
    found: dict[type[Any], Any] = {
        ConsoleSessions: sessions,
        Passkeys: Passkeys(sessions, Operators(db), cipher, clock, new_id),
    }
    if settings.oidc.issuer is not None:
        provider = OidcProvider(settings.oidc, engines.clients.identity_provider(), clock)
        found[OidcSignIn] = OidcSignIn(settings.oidc, provider, sessions, Operators(db), cipher, clock)
    return found
