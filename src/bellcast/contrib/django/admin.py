"""The admin: the outbox as a table, and each user's notifications, read from Bellcast."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bellcast.client import BellcastError, NotFound
from bellcast.contrib.django import conf, identity, inbox_query
from bellcast.contrib.django.models import Notification, NotificationPreference, OutboxEntry
from bellcast.contrib.django.preferences import FIELDS, read
from bellcast.contrib.django.sending import PRIORITIES, NotificationService

ROWS = 50


@admin.register(OutboxEntry)
class OutboxEntryAdmin(admin.ModelAdmin):
    """Rows that wait to be sent, and rows that Bellcast refused."""

    list_display = ("id", "kind", "title", "recipient", "created_at", "attempts", "state")
    list_filter = ("kind", ("refused_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)
    exclude = ("payload",)
    readonly_fields = ("content",)
    actions = ("retry", "discard")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # `discard` does the same without a second page
        return actions

    @admin.display(description=gettext_lazy("payload"))
    def content(self, entry: OutboxEntry) -> str:
        return json.dumps(entry.payload)

    @admin.display(description=gettext_lazy("title"))
    def title(self, entry: OutboxEntry) -> str:
        return entry.field("title", "name")

    @admin.display(description=gettext_lazy("recipient"))
    def recipient(self, entry: OutboxEntry) -> str:
        return entry.field("to", "topic", "recipient")

    @admin.display(description=gettext_lazy("state"))
    def state(self, entry: OutboxEntry) -> str:
        return _("refused: %(error)s") % {"error": entry.error} if entry.refused_at else _("waiting")

    @admin.action(description=gettext_lazy("Send again"), permissions=["delete"])
    def retry(self, request: HttpRequest, entries: Any) -> None:
        from bellcast.contrib.django import relaying

        refused = entries.filter(refused_at__isnull=False)  # a waiting row may have a `send_at`
        count = refused.update(refused_at=None, error=None, attempts=0, next_attempt_at=timezone.now())
        relaying.wake(entries.db)
        self.message_user(request, _("%(count)s rows will be sent again.") % {"count": count})

    @admin.action(description=gettext_lazy("Discard"), permissions=["delete"])
    def discard(self, request: HttpRequest, entries: Any) -> None:
        count = entries.delete()[0]
        self.message_user(request, _("%(count)s rows were discarded.") % {"count": count})


class SendForm(forms.Form):
    """A notification to one user."""

    title = forms.CharField(max_length=500)
    message = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    notification_type = forms.CharField(initial="other", max_length=100, label=gettext_lazy("type"))
    priority = forms.ChoiceField(choices=[(name, name) for name in PRIORITIES], initial="normal")
    action_url = forms.CharField(required=False, label=gettext_lazy("link"))


def _reports_outages(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show a page with the reason while Bellcast cannot be reached."""

    @wraps(view)
    def guarded(self: "BellcastModelAdmin", request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(self, request, *args, **kwargs)
        except (NotFound, ObjectDoesNotExist):
            raise Http404(_("The notification no longer exists.")) from None
        except BellcastError as error:
            return self.page(request, "unavailable", error=error)

    return guarded


class BellcastModelAdmin(admin.ModelAdmin):
    """An admin without rows in the database. Its pages are per user: `?user=` has the primary key. `user_page` is that of a user
    who has been chosen."""

    user_page: Callable[..., HttpResponse]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Render a page of the admin."""
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": self.model._meta.verbose_name_plural,
        }
        return render(request, f"bellcast/admin/{template}.html", {**shared, **context})

    def user_of(self, request: HttpRequest) -> Any:
        """Return the user that the page is about; None before one is chosen."""
        key = request.GET.get("user")
        if not key:
            return None
        try:
            return self._users(request).get(pk=key)
        except (ValueError, ValidationError, get_user_model().DoesNotExist):
            raise Http404(_("There is no such user.")) from None

    @_reports_outages
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not request.user.has_perm(f"bellcast.view_{self.model._meta.model_name}"):
            raise PermissionDenied
        user = self.user_of(request)
        if user is not None:
            return self.user_page(request, user)
        found, search = self._users(request).order_by("pk"), request.GET.get("q", "")
        if search:
            found = found.filter(**{f"{get_user_model().USERNAME_FIELD}__icontains": search})
        return self.page(request, "users", users=found[:ROWS], search=search)

    def _users(self, request: HttpRequest) -> Any:
        """Return the users that this member of staff may see. If the site's admin of users limits them, as with several
        tenants, the same limit applies here."""
        own = self.admin_site._registry.get(get_user_model())
        return get_user_model()._default_manager.all() if own is None else own.get_queryset(request)


@admin.register(Notification)
class NotificationAdmin(BellcastModelAdmin):
    """Notifications of a user: filters, timeline, mark read, recall, send."""

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("send/", wrap(self.send_view), name="bellcast_notification_send"),
            path("<str:id>/read/", wrap(self.read_view), name="bellcast_notification_read"),
            path("<str:id>/recall/", wrap(self.recall_view), name="bellcast_notification_recall"),
            path("<str:id>/timeline/", wrap(self.timeline_view), name="bellcast_notification_timeline"),
            *super().get_urls(),
        ]

    def user_page(self, request: HttpRequest, user: Any) -> HttpResponse:
        priority = request.GET.get("priority") if request.GET.get("priority") in PRIORITIES else None
        given = {"type": request.GET.get("type"), "priority": priority}
        filters = {name: value for name, value in given.items() if value}
        view = request.GET.get("view") if request.GET.get("view") in ("unread", "read", "archived") else "all"
        page = inbox_query.read_page(user, ROWS, request.GET.get("before") or None, str(view), **filters)
        return self.page(
            request,
            "notifications",
            chosen=user,
            page=page,
            filters={**filters, "view": view},
            priorities=PRIORITIES,
            older=urlencode({"user": user.pk, "view": view, **filters, "before": page.next or ""}),
            form=SendForm(),
            can_change=request.user.has_perm("bellcast.change_notification"),
            can_delete=request.user.has_perm("bellcast.delete_notification"),
            can_send=request.user.has_perm("bellcast.add_notification"),
        )

    @_reports_outages
    def timeline_view(self, request: HttpRequest, id: str) -> HttpResponse:
        user = self._required_user(request, "view")
        found = conf.client().notification(id, tenant=identity.tenant_of(user))
        return self.page(request, "timeline", chosen=user, notification=found)

    @_reports_outages
    def read_view(self, request: HttpRequest, id: str) -> HttpResponse:
        user = self._required_user(request, "change", method="POST")
        inbox_query.find(user, id, marks_as_read=True)
        return self._back(user)

    @_reports_outages
    def recall_view(self, request: HttpRequest, id: str) -> HttpResponse:
        user = self._required_user(request, "delete", method="POST")
        conf.client().recall(id, tenant=identity.tenant_of(user))
        self.message_user(request, _("The notification was recalled."))
        return self._back(user)

    @_reports_outages
    def send_view(self, request: HttpRequest) -> HttpResponse:
        user = self._required_user(request, "add", method="POST")
        form = SendForm(request.POST)
        if not form.is_valid():
            self.message_user(request, form.errors.as_text(), messages.ERROR)
            return self._back(user)
        try:
            NotificationService.send_notification(user, **form.cleaned_data)
        except ValidationError as error:
            self.message_user(request, "; ".join(error.messages), messages.ERROR)
        else:
            self.message_user(request, _("The notification is being sent."))
        return self._back(user)

    def _required_user(self, request: HttpRequest, permission: str, method: str | None = None) -> Any:
        """Return the user that the page is about. Raises PermissionDenied, and Http404 if there is none."""
        if not request.user.has_perm(f"bellcast.{permission}_notification") or method not in (None, request.method):
            raise PermissionDenied
        user = self.user_of(request)
        if user is None:
            raise Http404
        return user

    def _back(self, user: Any) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:bellcast_notification_changelist')}?user={user.pk}")


@admin.register(NotificationPreference)
class NotificationPreferenceAdmin(BellcastModelAdmin):
    """Preferences of a user, read-only."""

    def user_page(self, request: HttpRequest, user: Any) -> HttpResponse:
        values = read(user)
        return self.page(request, "preferences", chosen=user, values=[(name, values[name]) for name in FIELDS])
