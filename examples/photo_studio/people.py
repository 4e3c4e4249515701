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
    hue: int

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.name.split())


CAST = {
    person.key: person
    for person in [
        Person("clara", "Clara Jensen", "client", "Getting married in June", 14),
        Person("mira", "Mira Okafor", "administrator", "Runs the front desk", 262),
        Person("theo", "Theo Lindqvist", "photographer", "Weddings and portraits", 168),
        Person("ines", "Ines Duarte", "photographer", "Families and children", 38),
        Person("jonas", "Jonas Weber", "client", "Opening a bakery", 205),
    ]
}


def with_role(role: str) -> list[Person]:
    return [person for person in CAST.values() if person.role == role]


def sign_in(request: Request, key: str) -> Person:
    person = CAST[key]
    request.session["person"] = person.key
    return person


def sign_out(request: Request) -> None:
    request.session.clear()


def asking(request: Request) -> Person:
    """Return the signed-in person."""
    person = CAST.get(request.session.get("person", ""))
    if person is None:
        raise NotSignedIn
    return person
