"""The seeded users."""

from bellcast.examples.app_kit import Person

TENANT = "starlight"
# The agency's. Days and times of bookings are local.
TIMEZONE = "Europe/Vienna"
CAST = [
    Person("dana", "Dana Whitfield", "admin", "Runs the agency", 42),
    Person("iris", "Iris Calloway", "client", "Plans weddings", 268),
    Person("noah", "Noah Beckett", "client", "Turns 40 in spring", 196),
]
ADMINS = [person for person in CAST if person.role == "admin"]
