"""The demo users."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    key: str
    name: str
    role: str

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


CAST = {
    person.key: person
    for person in [
        Person("dana", "Dana Whitfield", "admin"),
        Person("iris", "Iris Calloway", "client"),
        Person("noah", "Noah Beckett", "client"),
    ]
}
