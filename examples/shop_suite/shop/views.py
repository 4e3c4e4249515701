"""The pages of a shop."""

import contextlib
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth import authenticate, login, update_session_auth_hash
from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST

from bellcast.examples.app_kit.attempts import WrongPasswords

from . import models, notifications, seeds, stock
from .forms import CustomerForm, NoticeForm, SaleForm, StockForm

WRONG_PASSWORDS = WrongPasswords()
# The rows and columns of the preferences, by the names of their fields.
KINDS = [("enabled", "Everything"), ("sales", "Sales"), ("inventory", "Inventory"), ("customer", "Customers"), ("system", "System"), ("security", "Security")]  # fmt: skip
CHANNELS = [("in_app", "in the app"), ("email", "by e-mail")]


class SignIn(LoginView):
    """The login page, which lists the people of the demo."""

    template_name = "shop/login.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign a person of the demo, `?enter=`, in with its password, for the pane of the start page."""
        user_name, address = request.GET.get("enter", ""), request.META["REMOTE_ADDR"]
        is_known = any(person.username == user_name for person in seeds.PEOPLE)
        if is_known and not WRONG_PASSWORDS.wait(user_name, address):
            person = authenticate(request, username=user_name, password=seeds.PASSWORD)
            if person is not None:
                login(request, person)
                return redirect("sales")
            WRONG_PASSWORDS.count(user_name, address)
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user_name, address = request.POST.get("username", ""), request.META["REMOTE_ADDR"]
        if wait := WRONG_PASSWORDS.wait(user_name, address):
            problem = f"Too many wrong passwords. Please wait {-(-wait // 60)} minutes."
            unbound = self.get_form_class()(request)  # a bound one would check the password
            page = self.render_to_response(self.get_context_data(form=unbound, problem=problem), status=429)
            page["Retry-After"] = str(wait)
            return page
        response = super().post(request, *args, **kwargs)
        (WRONG_PASSWORDS.forget if response.status_code == 302 else WRONG_PASSWORDS.count)(user_name, address)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(people=seeds.PEOPLE, password=seeds.PASSWORD, **kwargs)


class SignOut(LogoutView):
    """Ends the session in the database, and with it the live connections."""


# The superuser of the platform has no shop.
in_shop = user_passes_test(lambda user: user.tenant_id, login_url="admin:index", redirect_field_name=None)


@login_required
def home(request: HttpRequest) -> HttpResponse:
    return redirect("sales" if request.user.tenant_id else "admin:index")


@login_required
@in_shop
def sales(request: HttpRequest) -> HttpResponse:
    """List sales, and record one."""
    tenant = models.of(request)
    form = SaleForm(tenant, request.POST or None, initial={"token": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        fields = form.cleaned_data
        try:
            sale = stock.sell(
                fields["product"].pk, fields["quantity"], fields["customer"], request.user, form.send_id(request.user)
            )
        except stock.OutOfStock:
            form.add_error("quantity", f"Only {fields['product'].stock} left.")
        else:
            messages.success(request, f"Sold {sale}.")
            return redirect("sales")
    rows = tenant.sales.select_related("product", "customer", "seller")[:50]
    return render(request, "shop/sales.html", {"form": form, "sales": rows}, status=422 if form.errors else 200)


@login_required
@in_shop
def sale(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "shop/sale.html", {"sale": get_object_or_404(models.of(request).sales, pk=pk)})


@login_required
@in_shop
def inventory(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/inventory.html", {"products": models.of(request).products.all()})


@require_POST
@login_required
@in_shop
def adjust_stock(request: HttpRequest, pk: int) -> HttpResponse:
    product = get_object_or_404(models.of(request).products, pk=pk)
    form = StockForm(request.POST)
    if form.is_valid():
        stock.adjust(product.pk, form.cleaned_data["stock"], request.user)
        messages.success(request, f"{product}: {form.cleaned_data['stock']} in stock.")
    else:
        messages.error(request, "The stock must be a whole number from 0 to 100,000.")
    return redirect("inventory")


@login_required
@in_shop
def customers(request: HttpRequest) -> HttpResponse:
    """List customers, and add one."""
    tenant = models.of(request)
    form = CustomerForm(request.POST or None, instance=models.Customer(tenant=tenant), initial={"token": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        form.instance.token = form.send_id(request.user)
        with contextlib.suppress(IntegrityError):  # the form was sent twice
            _save(form)
        return redirect("customers")
    rows = tenant.customers.all()
    return render(request, "shop/customers.html", {"form": form, "customers": rows}, status=422 if form.errors else 200)


@login_required
@in_shop
def change_customer(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(models.of(request).customers, pk=pk)
    form = CustomerForm(request.POST or None, instance=customer)
    if request.method == "POST" and form.is_valid():
        _save(form)
        return redirect("customers")
    return render(request, "shop/customer.html", {"form": form, "customer": customer})


@transaction.atomic
def _save(form: CustomerForm) -> None:
    form.save()


@login_required
def security(request: HttpRequest) -> HttpResponse:
    """Change the password. Failed logins, changed passwords and new browsers are reported to the user."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
        update_session_auth_hash(request, form.user)
        messages.success(request, "The password was changed.")
        return redirect("security")
    return render(request, "shop/security.html", {"form": form}, status=422 if form.errors else 200)


@user_passes_test(lambda user: user.is_authenticated and user.is_manager)
@in_shop
def system(request: HttpRequest) -> HttpResponse:
    """Announce maintenance to everyone in the shop."""
    form = NoticeForm(request.POST or None, initial={"token": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            notifications.maintenance_announced(
                models.of(request), form.cleaned_data["message"], form.send_id(request.user)
            )
        messages.success(request, "The notice was sent.")
        return redirect("system")
    return render(request, "shop/system.html", {"form": form}, status=422 if form.errors else 200)


@login_required
def preferences(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/preferences.html", {"kinds": KINDS, "channels": CHANNELS})


@login_required
@ensure_csrf_cookie
def classic(request: HttpRequest) -> HttpResponse:
    """The suite's former front end: its own bell on the REST API and the WebSocket."""
    return render(request, "shop/classic.html")
