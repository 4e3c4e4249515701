"""The pages, the admin, and the REST API of notifications at its path in the seed."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from .shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login", views.SignIn.as_view(), name="login"),
    path("logout", views.SignOut.as_view(), name="logout"),
    path("sales/", views.sales, name="sales"),
    path("sales/<int:pk>/", views.sale, name="sale"),
    path("inventory/", views.inventory, name="inventory"),
    path("inventory/<int:pk>/", views.adjust_stock, name="adjust-stock"),
    path("customers/", views.customers, name="customers"),
    path("customers/<int:pk>/", views.change_customer, name="customer"),
    path("security/", views.security, name="security"),
    path("system/", views.system, name="system"),
    path("preferences/", views.preferences, name="preferences"),
    path("classic/", views.classic, name="classic"),
    # The site's own page limits wrong passwords; that of the admin does not.
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),
    path("admin/", admin.site.urls),
    path("api/notifications/", include("bellcast.contrib.django.urls")),
]
