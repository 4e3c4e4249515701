"""The demo users, and the signed-in person."""

from dataclasses import dataclass

from starlette.requests import Request


class NotSignedIn(Exception):
    """The request has no session."""


@dataclass(frozen=True)
class Person:
    key: str
    name: str
    role: str
    about: str
    tone: int

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.name.split())


CAST = {
    person.key: person
    for person in [
        Person("nora", "Nora Achterberg", "client", "Just moved in, boxes everywhere", 1),
        Person("samir", "Samir Haddad", "client", "Lets two flats by the canal", 2),
        Person("ben", "Ben Marlowe", "provider", "Plumbing and heating", 3),
        Person("lucia", "Lucia Ferro", "provider", "Cleaning and windows", 4),
        Person("tomasz", "Tomasz Zielinski", "provider", "Gardens and small repairs", 5),
    ]
}


def with_role(role: str) -> list[Person]:
    return [person for person in CAST.values() if person.role == role]


def asking(request: Request) -> Person:
    """Return the signed-in person."""
    session = request.scope["visit"].session
    if session is None:
        raise NotSignedIn
    person: Person = session.person
    return person
