"""The notifications of a shop. Each function is called in the transaction of the change."""

from typing import Any
from uuid import UUID

from bellcast.contrib.django import NotificationService, publish

from .models import Customer, Product, Sale, Tenant


def sale_completed(sale: Sale) -> None:
    NotificationService.send_tenant_notification(
        tenant=sale.tenant,
        title="New Sale",
        message=f"A sale of ${sale.total:.2f} was completed by {sale.seller.first_name}",
        notification_type="sale",
        action_url=sale.get_absolute_url(),
        action_text="View Sale",
        metadata={"sale": sale.pk, "total": str(sale.total)},
        idempotency_key=f"suite-sale-{sale.token}",
    )
    show_change(sale.tenant)


def stock_is_low(product: Product) -> None:
    """Managers also get an e-mail, and a text message when nothing is left: both follow their preferences and quiet hours."""
    is_sold_out = product.stock == 0
    alert: dict[str, Any] = {
        "tenant": product.tenant,
        "title": "Low Stock Alert",
        "message": f"{product.name} is {'sold out' if is_sold_out else f'running low: {product.stock} left'}",
        "notification_type": "inventory",
        "priority": "urgent" if is_sold_out else "high",
        "action_url": "/inventory/",
        "action_text": "View Inventory",
    }
    send = NotificationService.send_tenant_notification
    send(**alert, user_filter={"is_staff": True}, send_email=True, send_sms=is_sold_out)
    send(**alert, user_filter={"is_staff": False})


def stock_adjusted(product: Product, before: int, by: str) -> None:
    NotificationService.send_tenant_notification(
        tenant=product.tenant,
        title="Stock adjusted",
        message=f"{by} changed {product.name} from {before} to {product.stock}",
        notification_type="inventory",
        priority="low",
        action_url="/inventory/",
    )


def customer_saved(customer: Customer, *, is_new: bool) -> None:
    NotificationService.send_tenant_notification(
        tenant=customer.tenant,
        title="New customer" if is_new else "Customer updated",
        message=customer.name,
        notification_type="customer",
        action_url=customer.get_absolute_url(),
        action_text="View Customer",
    )


def maintenance_announced(tenant: Tenant, message: str, token: UUID) -> None:
    """Announce it once, even if the form with this id is sent twice."""
    NotificationService.send_tenant_notification(
        tenant=tenant,
        title="System notice",
        message=message,
        notification_type="system",
        announce=True,
        idempotency_key=f"suite-notice-{token}",
    )


def show_change(tenant: Tenant) -> None:
    """Make open pages of the shop reload their table. A live event suffices: a page opened later shows the current rows anyway."""
    publish(None, "shop-changed", recipient=tenant.people.filter(is_active=True))
