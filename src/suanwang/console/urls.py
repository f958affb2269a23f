"""Every page of the console. One address per thing, whoever looks at it."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from suanwang.console import static_files
from suanwang.console.views import account, public

urlpatterns: list[URLPattern | URLResolver] = [
    path("static/<path:path>", static_files.serve),
    path("", public.home, name="home"),
    path("centres", public.centres, name="centres"),
    path("centres/<slug:code>", public.centre, name="centre"),
    path("policy", public.policy, name="policy"),
    path("sign-in", account.sign_in_page, name="sign-in"),
    path("sign-out", account.sign_out_here, name="sign-out"),
    path("register", account.register, name="register"),
    path("language", account.language, name="language"),
    path("switch", account.switch, name="switch"),
    path("large-type", account.large_type, name="large-type"),
]
