"""Sales, and changes of the stock."""

import uuid

from django.db import transaction

from . import notifications
from .models import Customer, Product, Sale, User


class OutOfStock(Exception):
    """The stock has fewer pieces than the sale."""


@transaction.atomic
def sell(product_id: int, quantity: int, customer: Customer | None, seller: User, token: uuid.UUID) -> Sale:
    """Record a sale and take its pieces from the stock. A form that was already sent returns its sale."""
    product = Product.objects.select_for_update().get(pk=product_id, tenant=seller.tenant)
    known = Sale.objects.filter(token=token).first()
    if known is not None:
        return known
    if product.stock < quantity:
        raise OutOfStock
    sale = Sale.objects.create(
        tenant=product.tenant,
        product=product,
        customer=customer,
        seller=seller,
        quantity=quantity,
        total=product.price * quantity,
        token=token,
    )
    notifications.sale_completed(sale)
    product.stock -= quantity
    product.save()
    return sale


@transaction.atomic
def adjust(product_id: int, stock: int, user: User) -> None:
    """Set the stock after a delivery or a count."""
    product = Product.objects.select_for_update().get(pk=product_id, tenant=user.tenant)
    before = product.stock
    if before == stock:
        return
    product.stock = stock
    product.save()
    notifications.stock_adjusted(product, before, user.first_name)
