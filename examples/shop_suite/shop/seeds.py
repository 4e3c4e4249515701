"""The shops that a new database starts with."""

from typing import NamedTuple

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from .models import Customer, Product, Tenant, User

PASSWORD = "bellcast"


SHOPS = {"north": "North Street", "south": "South Harbour"}


class Person(NamedTuple):
    """A user of the demo, as shown on the login page."""

    username: str
    first_name: str
    role: str
    tenant: str
    is_manager: bool = False
    phone: str = ""

    @property
    def shop(self) -> str:
        """The name of its tenant."""
        return SHOPS[self.tenant]


PEOPLE = (
    Person("nadia", "Nadia", "Manager", "north", is_manager=True, phone="+441632960123"),
    Person("omar", "Omar", "Sales", "north"),
    Person("petra", "Petra", "Sales", "south"),
)
PRODUCTS = (("Espresso beans, 1 kg", "24.00", 18), ("Filter papers", "4.50", 40), ("Hand grinder", "100.00", 7))
# What a manager does in the admin; accounts, shops and the outbox are for the superuser of the platform.
MANAGERS = (
    *(
        f"{verb}_{model}"
        for model in ("customer", "product", "notification")
        for verb in ("view", "add", "change", "delete")
    ),
    *("view_sale", "view_user", "view_notificationpreference"),
)
SUPERUSER = "sasha"
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
        # Without signals: a new database notifies of nothing.
        Customer.objects.bulk_create([Customer(tenant=tenant, name=name) for name in CUSTOMERS])
    managers = Group.objects.create(name="Managers")
    managers.permissions.set(Permission.objects.filter(codename__in=MANAGERS))
    User.objects.create_superuser(SUPERUSER, f"{SUPERUSER}@shop.example", PASSWORD, first_name="Sasha")
    for person in PEOPLE:
        user = User.objects.create_user(
            person.username,
            f"{person.username}@shop.example",
            PASSWORD,
            first_name=person.first_name,
            tenant=tenants[person.tenant],
            is_staff=person.is_manager,
            phone=person.phone,
        )
        if person.is_manager:
            user.groups.add(managers)
