"""The sign-in link that `up` prints: it works once, for a few minutes, and on development machines only."""

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

SECONDS = 600
SALT = "opsconsole.sign-in"


def sign_in_path(user: User) -> str:
    """Return the path of a link that signs `user` in; any sign-in of that user ends it."""
    return reverse("sign-in", args=[signing.dumps({"user": user.pk, "seen": _seen(user)}, salt=SALT)])


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button, for a link that is only looked at (a preview, a prefetch) must not be used up; the button signs in."""
    with transaction.atomic():  # the row is held, so of two who press at once one is late
        user = _user_of(token)
        if user and request.method == "POST":
            login(request, user)
            return redirect("admin:index")
    return render(request, "opsconsole/sign_in.html", {"user_named": user}, status=200 if user else 410)


def _user_of(token: str) -> User | None:
    try:
        words = signing.loads(token, salt=SALT, max_age=SECONDS)
    except signing.BadSignature:
        return None
    user = User.objects.select_for_update().filter(pk=words["user"], is_active=True).first()
    return user if user and _seen(user) == words["seen"] else None


def _seen(user: User) -> str | None:
    return user.last_login.isoformat() if user.last_login else None
