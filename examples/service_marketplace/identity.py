"""The seeded users, and the signed-in one."""

from zoneinfo import ZoneInfo

from bellcast.examples.app_kit import NotSignedIn, Person, signed_in_person

__all__ = ["CAST", "TENANT", "ZONE", "NotSignedIn", "Person", "signed_in_person", "with_role"]

TENANT = "gable"
ZONE = ZoneInfo("Europe/Berlin")  # where the work is done; a container has UTC


# The hue is the number of a color in the style sheet: the pages allow no inline styles.
CAST = {
    person.key: person
    for person in [
        Person("nora", "Nora Achterberg", "client", hue=1),
        Person("samir", "Samir Haddad", "client", hue=2),
        Person("ben", "Ben Marlowe", "provider", hue=3),
        Person("lucia", "Lucia Ferro", "provider", hue=4),
        Person("tomasz", "Tomasz Zielinski", "provider", hue=5),
    ]
}


def with_role(role: str) -> list[Person]:
    return [person for person in CAST.values() if person.role == role]
