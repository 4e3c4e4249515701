"""Wires the sign-in of operators: sessions, passkeys and the identity provider."""

from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Conflict
from bellcast.kernel.identities import Project
from bellcast.operators.console_sessions import ConsoleConfig, ConsoleSessions
from bellcast.operators.oidc import OidcProvider
from bellcast.operators.oidc_sign_in import OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.store import Operators
from bellcast.server.wire_engines import ServerEngines
from bellcast.settings import Settings


class OperatorAccess:
    """How operators sign in to the console."""

    def __init__(self, engines: ServerEngines, settings: Settings, project: Project) -> None:
        server, db, clock, new_id = settings.server, engines.db, engines.real_clock, engines.context.new_id
        # Uses the project secret, which does not rotate, so that an operator's authenticator app stays valid.
        current, *previous = [one.secret.encode() for one in project.accepted]
        cipher = Encryption(current, previous)
        config = ConsoleConfig(
            networks=server.console_networks,
            require_mfa=server.require_mfa,
            external_session=settings.oidc.session,
        )
        self.sessions = ConsoleSessions(Operators(db), clock, new_id, cipher, config)
        self.passkeys = Passkeys(self.sessions, Operators(db), cipher, clock, new_id)
        self.oidc: OidcSignIn | None = None
        if settings.oidc.issuer is not None:
            provider = OidcProvider(settings.oidc, engines.clients.identity_provider(), clock)
            self.oidc = OidcSignIn(settings.oidc, provider, self.sessions, Operators(db), cipher, clock)

    async def make_setup_code(self) -> str | None:
        """Create a code for the first set-up of the console; None if it has an owner."""
        if not await self.sessions.is_setup_needed():
            return None
        try:
            return await self.sessions.make_setup_code()
        except Conflict:  # set up in the meantime, on another node
            return None
