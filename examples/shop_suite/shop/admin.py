"""The shop's tables in the admin."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import Customer, Product, Sale, Tenant, User

admin.site.register(User, UserAdmin)
for model in (Customer, Product, Sale, Tenant):
    admin.site.register(model)
