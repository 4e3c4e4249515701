"""The e-mail address of the signed-in operator, to which tests of templates are sent."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.channels import addresses, email, html
from bellcast.channels.email import Email
from bellcast.channels.types import Brand
from bellcast.kernel import times
from bellcast.kernel.errors import Conflict, Invalid
from bellcast.kernel.field_limits import Limit
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.operators.http.account import Account, account_of, own, own_operation, sessions
from bellcast.operators.types import EMAIL_CODE_MS
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
    address. Tests of templates can then be sent to it. If no provider delivers e-mail, nothing is sent, and `code` in the
    response is the code."""
    body, console = await request_body.body(request, CHANGE), sessions(request)
    code: str | UnsetType = UNSET
    operator = await own(request)
    if body.code is not None:
        await console.confirm_email(operator, body.code)
    elif body.email is None:
        await console.remove_email(operator)
    elif body.email is not UNSET:
        problem = addresses.format_problem("email", body.email)
        if problem is not None:
            raise Invalid.of("email", problem)
        made = await console.begin_email(operator, body.email)
        if not await _send(request, body.email, made):
            # A stored message would show the code to all operators with the right to read messages.
            code = made
    else:
        raise Invalid.of("email", "is required, or the code that was sent to it")
    account = msgspec.structs.replace(account_of(request, await own(request)), code=code)
    return responses.json(account, 200, {"cache-control": "no-store"})


async def _send(request: ApiRequest, address: str, code: str) -> bool:
    """Send a code, which is not stored. Return False if no provider delivers e-mail. Raises Unavailable."""
    ctx = context.of(request)
    now = ctx.engines.clock.now()
    text = TEXT.format(code=code, minutes=EMAIL_CODE_MS // 60_000)
    page = email.base_layout(Brand(name="Bellcast"), language="en", links={})(html.from_text(text), SUBJECT)
    id = ctx.engines.new_id(now)
    mail = Email(
        message_id=id, to=address, to_name=None, subject=SUBJECT, text=text, html=page, at=times.to_rfc3339(now)
    )
    return await ctx[ProviderDirectory].send_email(DEFAULT_TENANT, mail)


CHANGE = request_body.Shape(AccountChange)
