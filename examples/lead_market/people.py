"""Who works with the market: those who run it, and the providers who buy its leads."""

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request


@dataclass(frozen=True)
class Person:
    """`key` is what Bellcast knows them by; a provider's is its number."""

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
    """Whose desk the page is. A real market would look into its session."""
    person = CAST.get(request.path_params["desk"])
    if person is None:
        raise HTTPException(404, "Nobody has that desk.")
    return person


def asking_as(request: Request, role: str) -> Person:
    """The same, for what only one role may do."""
    person = asking(request)
    if person.role != role:
        raise HTTPException(403, f"This is for the {role}.")
    return person
