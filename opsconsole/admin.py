from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse

from apps.integrations import refusals
from apps.integrations.clients import client_address
from apps.integrations.models import AccessRefusal

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
"""What decides over what a person may do: only superusers give it, so that nobody gives what they lack (S26)."""

admin.site.unregister(User)
admin.site.unregister(Group)


class SignInForm(AdminAuthenticationForm):
    """The stock form. A wrong name or password is noted with the address alone: people type one in place of the other."""

    def get_invalid_login_error(self) -> ValidationError:
        """Note it, and say what the stock form says."""
        address = client_address(self.request) if self.request else ""
        refusals.note(AccessRefusal.Reason.SIGN_IN, address=address, where="POST /admin/login/")
        return super().get_invalid_login_error()


admin.site.login_form = SignInForm


@admin.register(User)
class PeopleAdmin(UserAdmin[User]):
    """People. Whoever may change users changes names and accounts below their own, and nobody's rights."""

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        if _is_superuser(request):
            return super().get_readonly_fields(request, obj)
        own = ("is_active",) if obj is not None and obj.pk == request.user.pk else ()
        return (*super().get_readonly_fields(request, obj), *RIGHTS, *own)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _below(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_superuser(request)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Whoever sets the password of another becomes that other: only superusers may."""
        if not _is_superuser(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)


@admin.register(Group)
class GroupsAdmin(GroupAdmin):
    """Groups. What a group may do is only a superuser's to change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _below(request: HttpRequest, obj: User | None) -> bool:
    return _is_superuser(request) or obj is None or not obj.is_superuser
