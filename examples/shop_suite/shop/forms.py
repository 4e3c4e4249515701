"""The forms of the pages."""

import uuid
from typing import Any

from django import forms

from .models import Customer, Product, Tenant, User


class SentOnce(forms.BaseForm):
    """A form with an id, which the browser may send twice."""

    def send_id(self, user: User) -> uuid.UUID:
        """Return an id of what was sent: the same form is sent again with other values after the browser's Back button."""
        form_id = self.cleaned_data["token"] or uuid.uuid4()
        return uuid.uuid5(form_id, repr([user.pk, *(self.data.get(name) for name in self.fields)]))


class SaleForm(SentOnce, forms.Form):
    product = forms.ModelChoiceField(Product.objects.none(), empty_label="Choose a product")
    quantity = forms.IntegerField(min_value=1, max_value=1000, initial=1)
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="Walk-in customer")
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, tenant: Tenant, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["product"].queryset = tenant.products.all()
        self.fields["customer"].queryset = tenant.customers.all()


class StockForm(forms.Form):
    stock = forms.IntegerField(min_value=0, max_value=100_000)


class CustomerForm(SentOnce, forms.ModelForm):
    token = forms.UUIDField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Customer
        fields = ("name", "email")


class NoticeForm(SentOnce, forms.Form):
    token = forms.UUIDField(widget=forms.HiddenInput, required=False)
    message = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
