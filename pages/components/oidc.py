"""Sign-in through a provider (OpenID Connect) by Streamlit's own routes, exchanged for a session of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from streamlit import config
from streamlit.auth_util import (
    encode_provider_token,
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    get_secrets_auth_section,
    get_validated_redirect_uri,
)
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import TOKENS_COOKIE_NAME, USER_COOKIE_NAME

from engine import people
from engine.access import Person
from engine.errors import UserError
from engine.people import store
from engine.settings import Settings, settings
from pages.components.session_gate import NO_STORE, PROVIDER, SIGN_IN, VOUCHED, safe_next

ANYBODY = "*"
NEXT_COOKIE = "replab_next"
FRESH_SECONDS = 300  # how long after the provider's answer it may be exchanged
NEEDED = ("client_id", "client_secret", "server_metadata_url")
REFUSALS = {
    "provider": "Signing in there did not work: try again.",
    "address": "Your account there is not one of those that may use this server: ask your teacher.",
    "blocked": "This account is blocked here: ask your teacher.",
}
Entered = Callable[[Request, Person, str], Response]


def routes(entered: Entered) -> list[Route]:
    """The routes; `entered(request, person, after)` begins a session."""

    def vouched(request: Request) -> Response:
        """Read once what Streamlit's callback signed, and exchange it for a session of ours."""
        claims = claims_of(request.cookies)
        answer = exchanged(request, claims, entered) if claims else refused("provider")
        for name in request.cookies:
            if name.startswith((USER_COOKIE_NAME, TOKENS_COOKIE_NAME)):
                answer.delete_cookie(name)
        answer.delete_cookie(NEXT_COOKIE, path="/lab")
        return answer

    return [Route(PROVIDER, start), Route(VOUCHED, vouched)]


def providers() -> list[tuple[str, str]]:
    """(name, title) of each provider in secrets.toml."""
    section = get_secrets_auth_section()
    if not isinstance(section, Mapping):
        return []
    found: list[tuple[str, Mapping[str, Any]]] = [("default", section)] if section.get("client_id") else []
    found += [(name, one) for name, one in section.items() if isinstance(one, Mapping) and "client_id" in one]
    return [(name, title_of(name, one)) for name, one in found]


def title_of(name: str, section: Mapping[str, Any]) -> str:
    """What people know a provider by: its name in secrets.toml, or where it is."""
    if name != "default":
        return name.capitalize()
    return urlsplit(str(section.get("server_metadata_url", ""))).hostname or "your account"


def check(here: Settings) -> None:
    """See that sign-in through providers can work, where there are any.

    Raises:
        UserError: Something is missing.
    """
    section, names = get_secrets_auth_section(), [name for name, _ in providers()]
    if not names:
        return
    if not all(find_spec(module) for module in ("authlib", "httpx")):
        raise UserError(
            "secrets.toml names a provider to sign in with, which needs Authlib and httpx: "
            "pip install -r requirements-class.txt."
        )
    if get_validated_redirect_uri() is None:
        raise UserError(
            "redirect_uri in [auth] of secrets.toml must be this server's address with /oauth2callback."
        )
    for name in names:
        one = section if name == "default" else section[name]
        if missing := [key for key in NEEDED if not one.get(key)]:
            raise UserError(f"The provider '{name[:40]}' in secrets.toml lacks {' and '.join(missing)}.")
        if "_" in name:
            raise UserError(
                f"The provider '{name[:40]}' in secrets.toml has an underscore in its name: leave it out."
            )
    if not here.oidc_allow:
        raise UserError(
            "REPLAB_OIDC_ALLOW says whose accounts may sign in through the provider: set it to domains or "
            "addresses with commas between, or to * for everybody it knows."
        )


def set_cookie_secret() -> None:
    """Let Streamlit sign with a key of this workspace, unless secrets.toml or the command line name one."""
    if config.get_where_defined("server.cookieSecret") == "<default>":
        config.set_option("server.cookieSecret", store.derived("streamlit cookies"))


def start(request: Request) -> Response:
    """Go to the provider."""
    name = request.query_params.get("name", "")
    if name not in dict(providers()):
        return JSONResponse({"error": "There is nothing at this address."}, status_code=404)
    there = f"/auth/login?{urlencode({'provider': encode_provider_token(name)})}"
    answer = RedirectResponse(there, status_code=303, headers=NO_STORE)
    after = safe_next(request.query_params.get("next", ""))
    answer.set_cookie(NEXT_COOKIE, after, max_age=600, httponly=True, samesite="lax", path="/lab")
    return answer


def claims_of(cookies: Mapping[str, str]) -> dict[str, Any] | None:
    """What the provider said of somebody, if Streamlit's callback has signed it just now; else None."""

    def single(name: str) -> bytes | None:
        value = cookies.get(name, "").encode("latin-1", "replace")
        return decode_signed_value(get_cookie_secret(), name, value, FRESH_SECONDS / 86400)

    try:
        claims = json.loads(get_cookie_with_chunks(single, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return None
    if not isinstance(claims, dict) or claims.get("is_logged_in") is not True:
        return None
    known = all(isinstance(claims.get(key), str) and claims[key] for key in ("iss", "sub"))
    return claims if known and claims.get("origin") == get_origin_from_redirect_uri() else None


def exchanged(request: Request, claims: Mapping[str, Any], entered: Entered) -> Response:
    if not allowed(claims, settings().oidc_allow):
        return refused("address")
    try:
        person = people.vouched(claims["iss"], claims["sub"], name_of(claims))
    except UserError:
        return refused("blocked")
    return entered(request, person, safe_next(request.cookies.get(NEXT_COOKIE, "")))


def allowed(claims: Mapping[str, Any], allow: str) -> bool:
    """Whether the operator's list has their address or its domain, which the provider must have checked."""
    listed = {entry.strip().casefold() for entry in allow.split(",") if entry.strip()}
    if ANYBODY in listed:
        return True
    address = claims.get("email")
    if not isinstance(address, str) or claims.get("email_verified") is not True or address.count("@") != 1:
        return False
    address = address.strip().casefold()
    return address in listed or address.partition("@")[2] in listed


def name_of(claims: Mapping[str, Any]) -> str:
    """What to call somebody: the provider's name for them, else the part of their address before the @."""
    for text in (claims.get("name"), claims.get("preferred_username"), claims.get("email")):
        if isinstance(text, str) and text.strip():
            return text.partition("@")[0]
    return "Student"


def refused(why: str) -> Response:
    return RedirectResponse(f"{SIGN_IN}?refused={why}", status_code=303, headers=NO_STORE)


def refusal(request: Request) -> str:
    """The sentence for somebody whom the provider's answer did not let in."""
    return REFUSALS.get(request.query_params.get("refused", ""), "")
