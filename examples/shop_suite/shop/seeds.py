"""The shops that a new database starts with."""

from typing import NamedTuple

from django.db import transaction

from .models import Customer, Product, Tenant, User

PASSWORD = "bellcast"


class Person(NamedTuple):
    """A user of the demo, as shown on the login page."""

    username: str
    first_name: str
    role: str
    tenant: str
    is_manager: bool = False


SHOPS = {"north": "North Street", "south": "South Harbour"}
PEOPLE = (
    Person("nadia", "Nadia", "Manager", "north", is_manager=True),
    Person("omar", "Omar", "Sales", "north"),
    Person("petra", "Petra", "Sales", "south"),
)
PRODUCTS = (("Espresso beans, 1 kg", "24.00", 18), ("Filter papers", "4.50", 40), ("Hand grinder", "100.00", 7))
CUSTOMERS = ("Café Lindgren", "Harbour Hotel")


@transaction.atomic
def create() -> None:
    """Create shops, people and products, once."""
    if Tenant.objects.exists():
        return
    tenants = {slug: Tenant.objects.create(slug=slug, name=name) for slug, name in SHOPS.items()}
    for tenant in tenants.values():
        for name, price, stock in PRODUCTS:
            Product.objects.create(tenant=tenant, name=name, price=price, stock=stock)
        for name in CUSTOMERS:
            Customer.objects.create(tenant=tenant, name=name)
    for person in PEOPLE:
        User.objects.create_user(
            person.username,
            f"{person.username}@shop.example",
            PASSWORD,
            first_name=person.first_name,
            tenant=tenants[person.tenant],
            is_staff=person.is_manager,
            is_superuser=person.is_manager,
        )
