"""Positions in lists whose order is that of two values: texts for the parameter `after`."""

import re
from urllib.parse import quote, unquote

from bellcast.errors import BadRequest
from bellcast.model.identities import EVERY_TENANT

# UTC milliseconds and an id.
MOMENT = re.compile(r"([0-9]{1,15})~(.+)")
WRONG = "`after` is not a cursor of this list: use `next` of a page."


def of_moment(at: int, id: str) -> str:
    """Return the position of an item by its time (UTC milliseconds) and its id."""
    return f"{at}~{id}"


def moment(after: str) -> tuple[int, str]:
    """Return the time and the id of a position. Raises BadRequest."""
    found = MOMENT.fullmatch(after)
    if found is None:
        raise BadRequest(WRONG)
    return int(found[1]), found[2]


def of_key(tenant: str, key: str, *, is_in_every: bool) -> str:
    """Return the position of an item by its key, in a list of all tenants by its tenant too."""
    return f"{quote(tenant, safe='')}/{key}" if is_in_every else key


def key(tenant: str, after: str) -> tuple[str, str]:
    """Return the tenant and the key of a position in the list of a tenant, or of all (`*`). Raises BadRequest."""
    if tenant != EVERY_TENANT:
        return tenant, after
    owner, slash, name = after.partition("/")
    if not slash and after:
        raise BadRequest(WRONG)
    return unquote(owner), name
