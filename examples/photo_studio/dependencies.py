"""Dependencies of the endpoints: the database, the signed-in person, the booking in the path, the person's inbox."""

from sqlite3 import Connection
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request

from bellcast.contrib.fastapi import Bell
from bellcast.examples.app_kit import Database, visit_of

from . import identity
from .bookings import Booking, Diary
from .identity import TENANT, NotSignedIn, Person


def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def token_arguments(request: Request) -> dict[str, Any]:
    """Return the arguments of the person's token, which ends with the session."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    return {"recipient": session.person.key, "tenant": TENANT, "ttl": max(1, session.seconds_left)}


async def open_inbox(bell: Bell, arguments: Annotated[dict[str, Any], Depends(token_arguments)]) -> Any:
    return bell.inbox(await bell.token(**arguments))


SignedIn = Annotated[Person, Depends(identity.signed_in_person)]
Data = Annotated[Database, Depends(get_database)]
Inbox = Annotated[Any, Depends(open_inbox)]


def find_booking(connection: Connection, number: int, person: Person) -> Booking:
    """Return a booking, if the person may see it."""
    booking = Diary(connection).find(number, person)
    if booking is None:
        raise HTTPException(404, "Booking not found.")
    return booking
