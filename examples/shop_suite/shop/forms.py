"""The forms of the pages."""

from typing import Any

from django import forms

from .models import Customer, Product, Tenant


class SaleForm(forms.Form):
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


class CustomerForm(forms.ModelForm):
    token = forms.UUIDField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Customer
        fields = ("name", "email")


class NoticeForm(forms.Form):
    token = forms.UUIDField(widget=forms.HiddenInput, required=False)
    message = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
