"""A user of a demo app."""

from dataclasses import dataclass

# The password of every seeded user; the login pages show it.
DEMO_PASSWORD = "bellcast"


@dataclass(frozen=True)
class Person:
    """`key` is the user name, and the recipient key in Bellcast. `hue` colors the avatar."""

    key: str
    name: str
    role: str
    about: str = ""
    hue: int = 0

    @property
    def first_name(self) -> str:
        return self.name.split()[0]

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.name.split()[:2])

    @property
    def email(self) -> str:
        return f"{self.key}@example.com"
