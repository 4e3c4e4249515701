"""The seeded users: an admin, and the providers that buy leads. A provider's key is its number."""

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bellcast.examples.app_kit import Person, signed_in_person

CAST = {
    person.key: person
    for person in [
        Person("ruth", "Ruth Adler", "admin", "Runs the market", 250),
        Person("42", "Bright Plumbing", "provider", "Plumbers in Leeds", 205),
        Person("43", "Oak Roofing", "provider", "Roofers in York", 28),
    ]
}
PROVIDERS = [person for person in CAST.values() if person.role == "provider"]
# How leads come in without a person of this site.
FORM, PARTNER = "request-form", "partner"
SYSTEMS = {FORM: "Request form", PARTNER: "Partner site"}
ADMINS = [person.key for person in CAST.values() if person.role == "admin"]


def signed_in_as(request: Request, role: str) -> Person:
    """Return the signed-in person if they have the role."""
    person = signed_in_person(request)
    if person.role != role:
        raise HTTPException(403, f"Only available to the {role}.")
    return person
