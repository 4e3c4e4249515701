from django.contrib.auth.models import AbstractUser
from django.db import models


class Tenant(models.Model):
    slug = models.SlugField(unique=True)


class User(AbstractUser):
    tenant = models.ForeignKey(Tenant, null=True, on_delete=models.CASCADE)
    phone = models.CharField(max_length=30, blank=True)


class Sale(models.Model):
    total = models.IntegerField(default=0)

    def __str__(self):
        return f"sale {self.pk}"

    def get_absolute_url(self):
        return f"/sales/{self.pk}"
