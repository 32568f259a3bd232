"""Saved views of a list: kept under a name, listed above it, renamed and deleted by whoever made them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.views.main import ORDER_VAR
from django.contrib.auth.models import User
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _

from apps.actions.admin.lists import NOT_FILTERS
from apps.actions.forms import ViewForm
from apps.actions.models import SavedView
from apps.actions.selections import Selection
from apps.actions.verbs import Acted, Invalid, NotFound, kind_of

SHOWN = 30
"""So many views stand above a list."""
KEPT = 100
"""So many may one person keep of one list."""
ORDER_AT_MOST = 60


def views_of(request: HttpRequest, model: type[Acted]) -> "models.QuerySet[SavedView, SavedView]":
    """Return the reader's own views of a noun, and those that are for everybody."""
    mine = models.Q(owner=request.user.pk) | models.Q(shared=True)
    return SavedView.objects.filter(mine, kind=kind_of(model)).select_related("owner")


def told_views(request: HttpRequest, model: type[Acted]) -> dict[str, Any]:
    """Return what stands above a list: its views, and what would be saved of it now."""
    words = words_of(request.GET)
    found = list(views_of(request, model)[:SHOWN])
    told = [{"name": view.name, "url": view.query, "current": view.words == words} for view in found]
    return {"views": told, "view_words": urlencode(words)}


def words_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the words of a list's address that are worth saving: filter, search and order."""
    kept = {word for word in given if word not in NOT_FILTERS or word == ORDER_VAR}
    return {word: str(given[word]) for word in sorted(kept) if str(given[word])}


def page(request: HttpRequest, model: type[Acted], list_url: str, context: dict[str, Any]) -> HttpResponse:
    """Show the views of a noun, each of the reader's own with what may be changed of it."""
    views = list(views_of(request, model)[:KEPT])
    told = [
        {"view": view, "url": f"{list_url}{view.query}", "mine": view.owner_id == request.user.pk} for view in views
    ]
    return render(request, "console/views.html", context | {"views": told, "opts": model._meta, "list_url": list_url})


def change(request: HttpRequest, model: type[Acted], list_url: str) -> HttpResponse:
    """Save, rename or delete a view, as the button says. Raises `Invalid` in a sentence, with nothing changed."""
    if "id" not in request.POST:
        return HttpResponseRedirect(f"{list_url}{_save(request, model).query}")
    view = _own(request, model, request.POST["id"])
    if request.POST.get("do") == "delete":
        view.delete()
        messages.success(request, _("The view %(name)s is deleted.") % {"name": view.name})
    else:
        _written(request, view)
    return HttpResponseRedirect(f"{list_url}views/")


def _save(request: HttpRequest, model: type[Acted]) -> SavedView:
    words = words_of(QueryDict(request.POST.get("words", "")))
    order = words.get(ORDER_VAR, "")
    if len(order) > ORDER_AT_MOST or order.strip("-.0123456789"):
        raise Invalid(_("The order of that list cannot be read."))
    Selection.matching(model, {word: value for word, value in words.items() if word != ORDER_VAR})
    if SavedView.objects.filter(owner=request.user.pk, kind=kind_of(model)).count() >= KEPT:
        raise Invalid(_("You keep %(most)s views of this list already. Delete one first.") % {"most": KEPT})
    assert isinstance(request.user, User)  # noqa: S101 # AnonymousUser never gets past the sign-in
    return _written(request, SavedView(kind=kind_of(model), owner=request.user, words=words))


def _written(request: HttpRequest, view: SavedView) -> SavedView:
    form = ViewForm(request.POST, instance=view)
    if not form.is_valid():
        raise Invalid(form.sentence)
    try:
        with transaction.atomic():
            saved: SavedView = form.save()
    except IntegrityError as error:  # a double click: the other request was a moment faster
        raise Invalid(_("You have a view called %(name)s already.") % {"name": view.name}) from error
    messages.success(request, _("The view %(name)s is saved.") % {"name": saved.name})
    return saved


def _own(request: HttpRequest, model: type[Acted], id: str) -> SavedView:
    try:
        found = SavedView.objects.filter(pk=UUID(id), kind=kind_of(model), owner=request.user.pk).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound(_("There is no such view of yours."))
    return found
