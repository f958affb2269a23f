"""Every address of the city."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from suanwang.api.api import api
from suanwang.site import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
    path("api/v1/", api.urls),
    path("", include("suanwang.console.urls")),
]

handler403 = "suanwang.console.views.problems.forbidden"
handler404 = "suanwang.console.views.problems.not_found"
handler500 = "suanwang.console.views.problems.broken"
