"""The table of contents: every path the console answers."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from apps.integrations import webhooks
from opsconsole import aliases, health
from opsconsole.api import api, problems
from opsconsole.demo import tour
from opsconsole.sign_in import sign_in

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    *aliases.urls(),
    path("webhook/<slug:source>", problems(webhooks.receive), name="webhook"),
    path("webhook/<slug:source>/<str:secret>", problems(webhooks.receive), name="webhook-secret"),
    path("health", health.alive, name="health"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("i18n/", include("django.conf.urls.i18n")),  # the language switch
    *([] if settings.PRODUCTION else [path("sign-in/<str:token>/", sign_in, name="sign-in")]),
    *([] if settings.PRODUCTION else [path("demo/<slug:what>/", admin.site.admin_view(tour.press), name="tour")]),
]
