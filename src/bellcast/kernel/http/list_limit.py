"""The parameter `limit` of lists. Only the inbox, the events of a topic and the verification of the audit log have
other limits."""

from typing import Annotated

from msgspec import Meta

from bellcast.kernel.http.pages import MAX_APP_PAGE_ROWS, MAX_PAGE_ROWS

ListLimit = Annotated[int, Meta(ge=1, le=MAX_PAGE_ROWS)]
AppListLimit = Annotated[int, Meta(ge=1, le=MAX_APP_PAGE_ROWS)]
