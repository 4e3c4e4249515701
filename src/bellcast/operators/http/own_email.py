"""The e-mail address of the signed-in operator, to which tests of templates are sent."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.channels import addresses, email, html
from bellcast.channels.contents import StoredEmail
from bellcast.channels.email import Email
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import Brand, NewMessage
from bellcast.inbox.types.notifications import GENERAL
from bellcast.kernel import times
from bellcast.kernel.errors import Conflict, Invalid
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.operators.http.account import Account, account_of, own, own_operation, sessions
from bellcast.operators.types import EMAIL_CODE_MS, Operator
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest import context

SUBJECT = "Your code for Bellcast"
TEXT = (
    "{code}\n\nEnter this code under Account in the console. It is valid for {minutes} minutes, and confirms that tests of "
    "templates may be sent to this address.\n\nIf you did not ask for it, ignore this e-mail."
)


class AccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new `email`, to which a code is sent, or the `code` that confirms it. Null removes the e-mail."""

    email: Annotated[str | UnsetType | None, Limit(addresses.MAX_EMAIL)] = UNSET
    code: Annotated[str | None, Limit(20)] = None


@own_operation(
    "PATCH",
    "/v1/me",
    body=AccountChange,
    response_types={200: Account},
    refusals=(Conflict,),
    example={"email": "ann@example.com"},
)
async def change(request: ApiRequest) -> ASGIApp:
    """Change or confirm your e-mail.

    With `email`, six digits are sent there. They are valid for 10 minutes and 5 attempts; send them as `code` to confirm the
    address. Tests of templates can then be sent to it."""
    body, console = await request_body.body(request, CHANGE), sessions(request)
    operator = await own(request)
    if body.code is not None:
        await console.confirm_email(operator, body.code)
    elif body.email is None:
        await console.remove_email(operator)
    elif body.email is not UNSET:
        problem = addresses.format_problem("email", body.email)
        if problem is not None:
            raise Invalid.of("email", problem)
        await _send(request, operator, body.email, await console.begin_email(operator, body.email))
    else:
        raise Invalid.of("email", "is required, or the code that was sent to it")
    return responses.json(account_of(request, await own(request)), 200, {"cache-control": "no-store"})


async def _send(request: ApiRequest, operator: Operator, address: str, code: str) -> None:
    """Send a code. It is stored, as a simulated message, only if no provider delivers e-mail. Raises Unavailable."""
    ctx = context.of(request)
    now = ctx.engines.clock.now()
    text = TEXT.format(code=code, minutes=EMAIL_CODE_MS // 60_000)
    page = email.base_layout(Brand(name="Bellcast"), language="en", links={})(html.from_text(text), SUBJECT)
    id = ctx.engines.new_id(now)
    mail = Email(
        message_id=id, to=address, to_name=None, subject=SUBJECT, text=text, html=page, at=times.to_rfc3339(now)
    )
    if await ctx[ProviderDirectory].send_email(DEFAULT_TENANT, mail):
        return
    message = NewMessage(
        id=id,
        tenant=DEFAULT_TENANT,
        recipient=operator.recipient,
        notification=None,
        channel="email",
        type=GENERAL,
        priority="normal",
        address=address,
        due_at=now,
        created_at=now,
        content=msgspec.json.encode(StoredEmail(subject=SUBJECT, text=text, html=page)),
    )
    await Messages(ctx.engines.db).add([message])
    ctx.engines.router.messages_added()


CHANGE = request_body.Shape(AccountChange)
