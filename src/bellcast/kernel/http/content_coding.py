"""Content codings that a client accepts (RFC 9110, 12.5.3)."""

import re

ZERO = re.compile(r"\s*q=0(\.0{0,3})?\s*")


def accepts(header: str | None, coding: str) -> bool:
    """Return whether an Accept-Encoding header allows the coding: named, or covered by `*`, and not with a weight of
    zero."""
    offers = (part.partition(";") for part in (header or "").lower().split(","))
    weights = {name.strip(): weight for name, _, weight in offers}
    weight = weights.get(coding, weights.get("*"))
    return weight is not None and ZERO.fullmatch(weight) is None
