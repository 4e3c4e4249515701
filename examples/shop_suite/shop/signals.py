"""Notifications of changed products and customers, wherever they are saved: on the pages, in the admin, in a shell."""

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save

from . import notifications
from .models import Customer, Product


def connect() -> None:
    for model in (Customer, Product):
        pre_save.connect(read_stored, sender=model)
        post_save.connect(row_changed, sender=model)
        post_delete.connect(row_changed, sender=model)
    post_save.connect(product_saved, sender=Product)
    post_save.connect(customer_saved, sender=Customer)


def read_stored(sender: Any, instance: Any, raw: bool, **_: Any) -> None:
    """Keep the stored row, which the saved one is compared with. For rows of `loaddata` (`raw`), that is the saved one."""
    instance.stored = instance if raw else sender.objects.filter(pk=instance.pk).first()


def product_saved(instance: Any, **_: Any) -> None:
    """Alert when a product becomes low, and again when it is sold out."""
    before = instance.stored
    if before is not None and instance.is_low and (not before.is_low or before.stock > instance.stock == 0):
        notifications.stock_is_low(instance)


def customer_saved(instance: Any, **_: Any) -> None:
    before = instance.stored
    if before is None or (before.name, before.email) != (instance.name, instance.email):
        notifications.customer_saved(instance, is_new=before is None)


def row_changed(instance: Any, *, raw: bool = False, **_: Any) -> None:
    if not raw:
        notifications.show_change(instance.tenant)
