"""The demo users: an admin, and the providers that buy leads."""

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request


@dataclass(frozen=True)
class Person:
    """`key` is the recipient key in Bellcast; for a provider, its number."""

    key: str
    name: str
    role: str
    about: str
    hue: int

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.name.split()[:2])


CAST = {
    person.key: person
    for person in [
        Person("ruth", "Ruth Adler", "admin", "Runs the market", 250),
        Person("42", "Bright Plumbing", "provider", "Plumbers in Leeds", 205),
        Person("43", "Oak Roofing", "provider", "Roofers in York", 28),
    ]
}
PROVIDERS = [person for person in CAST.values() if person.role == "provider"]
ADMINS = [person for person in CAST.values() if person.role == "admin"]


def asking(request: Request) -> Person:
    """Return the person of the desk in the URL. A real app would read its session."""
    person = CAST.get(request.path_params["desk"])
    if person is None:
        raise HTTPException(404, "Desk not found.")
    return person


def asking_as(request: Request, role: str) -> Person:
    """Return the person of the desk if they have the role."""
    person = asking(request)
    if person.role != role:
        raise HTTPException(403, f"Only available to the {role}.")
    return person
