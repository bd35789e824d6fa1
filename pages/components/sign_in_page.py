"""What the sign-in pages look like: plain HTML of our own that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from engine.people.passwords import LONGEST, SHORTEST
from engine.people.store import MAX_NAME
from pages.components.session_gate import JOIN, NO_STORE, PASSWORD, PROVIDER, SIGN_IN

TOKEN_FIELD = "form"
HEADERS = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with less, browsers post a form with the Origin "null"
}
PASSWORD_HINT = f"At least {SHORTEST} letters; 12 or more are better."


def sign_in_page(
    token: str,
    after: str,
    *,
    name: str = "",
    error: str = "",
    joining: bool = False,
    providers: Sequence[tuple[str, str]] = (),
    status: int = 200,
) -> HTMLResponse:
    """The page that a visitor sees first.

    Args:
        token: What the form has to send back.
        after: Where to go then; a path of this site.
        name: What was typed before.
        error: What went wrong, in one sentence.
        joining: Whether there is a class code to join with.
        providers: (name, title) of those who vouch for people.
        status: Of the answer.
    """
    first, second = ("", "autofocus") if name else ("autofocus", "")
    fields = text_field("name", "Name", name, f'autocomplete="username" {first}')
    fields += password_field("password", "Password", "current-password", more=second)
    below = ""
    if providers:
        below += '<p class="or">or</p>'
    for provider, title in providers:
        there = f"{PROVIDER}?{urlencode({'name': provider, 'next': after})}"
        below += f'<a class="provider" href="{escape(there)}">Sign in with {escape(title)}</a>'
    other = (
        f'<a href="{escape(with_next(JOIN, after))}">New here? Join with the class code</a>'
        if joining
        else ""
    )
    form = drawn_form(SIGN_IN, token, after, fields, "Sign in")
    return drawn("Sign in", "", error, form + below, other, status)


def join_page(
    token: str, after: str, *, name: str = "", error: str = "", joining: bool = True, status: int = 200
) -> HTMLResponse:
    """The page on which somebody makes their own account; arguments as for `sign_in_page`."""
    back = f'<a href="{escape(with_next(SIGN_IN, after))}">Have an account? Sign in</a>'
    if not joining:
        lead = "Nobody can join at the moment: ask your teacher for a class code."
        return drawn("Join the class", lead, error, "", back, status)
    fields = text_field(
        "name", "Name", name, 'autocomplete="username" autofocus', "Your teacher and the class see it."
    )
    fields += password_field("password", "Password", "new-password", PASSWORD_HINT)
    fields += password_field("again", "Password again", "new-password")
    fields += text_field("code", "Class code", "", 'autocomplete="off"', "Your teacher tells you.")
    return drawn("Join the class", "", error, drawn_form(JOIN, token, after, fields, "Join"), back, status)


def password_page(token: str, *, name: str, error: str = "", status: int = 200) -> HTMLResponse:
    """The page on which somebody changes their password."""
    fields = text_field("name", "Name", name, 'autocomplete="username" readonly')
    fields += password_field("old", "Present password", "current-password")
    fields += password_field("password", "New password", "new-password", PASSWORD_HINT)
    fields += password_field("again", "New password again", "new-password")
    lead = "You stay signed in here, and are signed out everywhere else."
    form = drawn_form(PASSWORD, token, "/", fields, "Change password")
    return drawn("Change password", lead, error, form, '<a href="/">Back to the app</a>', status)


def with_next(path: str, after: str) -> str:
    return path if after == "/" else f"{path}?{urlencode({'next': after})}"


def text_field(name: str, label: str, value: str, more: str, hint: str = "") -> str:
    told = f'<span class="hint">{hint}</span>' if hint else ""
    return (
        f'<label>{label}<input name="{name}" value="{escape(value)}" maxlength="{MAX_NAME}" required '
        f'autocapitalize="none" spellcheck="false" {more}>{told}</label>'
    )


def password_field(name: str, label: str, completed: str, hint: str = "", more: str = "") -> str:
    shortest = f' minlength="{SHORTEST}"' if completed == "new-password" else ""
    told = f'<span class="hint">{hint}</span>' if hint else ""
    return (
        f'<label>{label}<input type="password" name="{name}" maxlength="{LONGEST}"{shortest} required '
        f'autocomplete="{completed}" {more}>{told}</label>'
    )


def drawn_form(action: str, token: str, after: str, fields: str, button: str) -> str:
    hidden = {TOKEN_FIELD: token, "next": after}
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in hidden.items()
    )
    return f'<form method="post" action="{action}">{kept}{fields}<button>{button}</button></form>'


def drawn(title: str, lead: str, error: str, body: str, other: str, status: int) -> HTMLResponse:
    """The whole page; `body` and `other` are HTML, all else is text."""
    told = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    told += f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Representation Lab</title>"
        '<link rel="icon" href="/lab/icon.svg"><link rel="stylesheet" href="/lab/sign-in.css"></head>'
        '<body><main><img class="logo" src="/lab/logo.svg" alt="Representation Lab" width="225" height="36">'
        f'<section class="card"><h1>{escape(title)}</h1>{told}{body}</section>'
        + (f'<p class="other">{other}</p>' if other else "")
        + "</main></body></html>"
    )
    return HTMLResponse(html, status_code=status, headers=HEADERS)
