"""Who is looking at a page, and what a page asks of them.

The session keeps the organisation and role a person acts in; everything else is looked up afresh,
so that a member who left loses the page at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from suanwang.core.errors import NotSignedIn
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import require
from suanwang.people.sign_in import viewer_of_session

P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, Viewer, P], HttpResponse]


def viewer_here(request: HttpRequest) -> Viewer:
    """The viewer of this request, looked up once."""
    kept: Viewer | None = request.__dict__.get("_viewer")
    if kept is None:
        kept = request.__dict__["_viewer"] = viewer_of_session(request)
    return kept


def own_organisation(viewer: Viewer) -> Organisation:
    """The organisation the viewer acts for. Refuses ``sign_in_needed`` if there is none."""
    if viewer.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    return Organisation.objects.get(pk=viewer.organisation_id)


def public(view: Page[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page anybody may open."""

    @wraps(view)
    def opened(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return view(request, viewer_here(request), *args, **kwargs)

    return opened


def signed_in(
    *permissions: str,
) -> Callable[[Page[P]], Callable[Concatenate[HttpRequest, P], HttpResponse]]:
    """A page for those who hold one of the permissions; strangers are sent to sign in first.

    Refuses what ``require`` refuses.
    """

    def wrap(view: Page[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def opened(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            viewer = viewer_here(request)
            if viewer.person is None:
                back = request.get_full_path() if request.method == "GET" else "/overview"
                return HttpResponseRedirect(f"/sign-in?{urlencode({'next': back})}")
            if permissions and not any(viewer.may(one) for one in permissions):
                require(viewer, permissions[0])  # says why: the role, the key, not admitted yet
            return view(request, viewer, *args, **kwargs)

        return opened

    return wrap
