"""The shop's tables in the admin. A manager sees and changes the rows of the own shop, a superuser those of all shops."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest

from . import models, notifications


class OwnShop(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Rows of the signed-in manager's shop."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _of_shop(super().get_queryset(request), request)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if request.user.is_superuser else ("tenant",)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **options: Any) -> Any:  # type: ignore[type-arg]  # generic in the stubs only
        field = super().formfield_for_foreignkey(db_field, request, **options)
        if field is not None and db_field.name != "tenant":
            field.queryset = _of_shop(field.queryset, request)
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not request.user.is_superuser:
            obj.tenant = models.of(request)
        super().save_model(request, obj, form, change)


@admin.register(models.Product)
class Products(OwnShop):
    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest | None, **options: Any) -> Any:
        # Whether the stock was changed is decided by what the page showed: sales go on while it is open.
        shown = {"show_hidden_initial": True} if db_field.name == "stock" else {}
        return super().formfield_for_dbfield(db_field, request, **shown, **options)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change and "stock" not in form.changed_data:
            obj.stock = form.initial["stock"]
        super().save_model(request, obj, form, change)
        if change and "stock" in form.changed_data:
            notifications.stock_adjusted(obj, form.initial["stock"], request.user.first_name)


@admin.register(models.Sale)
class Sales(OwnShop):
    """A list to read: a sale is recorded on its page, which takes its pieces from the stock."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.User)
class People(UserAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Managers see the people of their shop; only superusers change accounts. The admin of notifications follows this limit."""

    fieldsets = (*(UserAdmin.fieldsets or ()), ("Shop", {"fields": ("tenant", "phone")}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _of_shop(super().get_queryset(request), request)


def _of_shop(found: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    return found if request.user.is_superuser else found.filter(tenant=models.of(request))


admin.site.register(models.Tenant)
admin.site.register(models.Customer, OwnShop)
