"""The seeded users, and the signed-in one."""

from zoneinfo import ZoneInfo

from bellcast.examples.app_kit import NotSignedIn, Person, signed_in_person

__all__ = ["CAST", "TENANT", "ZONE", "NotSignedIn", "Person", "signed_in_person", "with_role"]

TENANT = "oriel"
ZONE = ZoneInfo("Europe/Berlin")  # where the studio is; a container has UTC
CAST = {
    person.key: person
    for person in [
        Person("clara", "Clara Jensen", "client", "Getting married soon", 14),
        Person("mira", "Mira Okafor", "administrator", "Runs the front desk", 262),
        Person("theo", "Theo Lindqvist", "photographer", "Weddings and portraits", 168),
        Person("ines", "Ines Duarte", "photographer", "Families and children", 38),
        Person("jonas", "Jonas Weber", "client", "Opening a bakery", 205),
    ]
}


def with_role(role: str) -> list[Person]:
    return [person for person in CAST.values() if person.role == role]
