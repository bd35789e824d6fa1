"""Sign-in through a small OpenID Connect provider, by Streamlit's own routes, for a session of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from starlette.testclient import TestClient
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app import create_streamlit_middleware
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_auth_routes import create_auth_routes

from engine import people
from engine.access import Person
from engine.errors import UserError
from engine.people import store
from engine.settings import settings
from pages.components import oidc, startup
from pages.components.session_gate import COOKIE, PROVIDER_COOKIE
from tests.people.conftest import HTML, SITE, door

pytest.importorskip("authlib", reason="sign-in through a provider needs Authlib")
from joserfc import jwt  # noqa: E402
from joserfc.jwk import RSAKey  # noqa: E402

CLIENT_SECRET = "the client's own secret"
VERIFIED = {"sub": "s-1", "email": "eve@school.example", "email_verified": True, "name": "Eve Ångström"}


class Provider:
    """Vouches for whoever `claims` describes: discovery, authorize, token and keys, RS256."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = dict(VERIFIED)
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.stranger = RSAKey.generate_key(2048, {"kid": "one"})
        self.forged = False
        self.asked: dict[str, dict[str, str]] = {}  # code -> the request for it
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(provider.document(urlsplit(self.path).path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.answer(provider.token({key: value[0] for key, value in parse_qs(body).items()}))

            def answer(self, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(200 if value is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def document(self, path: str) -> Any:
        if path == "/jwks":
            return {"keys": [self.key.as_dict(private=False)]}
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        return None

    def authorize(self, location: str) -> str:
        """What the provider's page does when somebody agrees: the address it sends the browser back to."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, sent: dict[str, str]) -> Any:
        asked = self.asked.pop(sent["code"])
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked["code_challenge"]
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "lab",
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"],
            **self.claims,
        }
        key = self.stranger if self.forged else self.key
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
        return {
            "access_token": "an access token",
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": signed,
        }


@pytest.fixture(scope="module")
def one_provider() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.server.shutdown()
    found.server.server_close()


Told = Callable[..., None]


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Told]:
    """Write secrets.toml: `secrets(client_id=..., ...)` fills [auth]."""
    path, before = tmp_path / "secrets.toml", config.get_option("secrets.files")

    def told(**auth: Any) -> None:
        lines = [f"{key} = {json.dumps(value)}" for key, value in auth.items() if isinstance(value, str)]
        for name, one in auth.items():
            if isinstance(one, dict):
                lines += [f"[auth.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in one.items())]
        path.write_text("\n".join(["[auth]", *lines]))
        secrets_singleton._reset()
        config.set_option("secrets.files", [str(path)])

    yield told
    secrets_singleton._reset()
    config.set_option("secrets.files", before)


@pytest.fixture
def provider(one_provider: Provider, secrets: Told, monkeypatch: pytest.MonkeyPatch) -> Provider:
    one_provider.claims, one_provider.forged = dict(VERIFIED), False
    monkeypatch.setenv("REPLAB_OIDC_ALLOW", "School.Example, guest@other.example")
    configure(secrets, one_provider.url)
    return one_provider


def configure(secrets: Told, url: str, **change: Any) -> None:
    about = {"client_id": "lab", "client_secret": CLIENT_SECRET, "redirect_uri": f"{SITE}/oauth2callback"}
    about["server_metadata_url"] = f"{url}/.well-known/openid-configuration"
    secrets(**{key: value for key, value in {**about, **change}.items() if value})


@pytest.fixture
def browser(provider: Provider) -> Iterator[TestClient]:
    with door(more=create_auth_routes(""), middleware=create_streamlit_middleware()) as found:
        yield found


def follow(browser: TestClient, provider: Provider, after: str = "/maps?run=a") -> Any:
    """The whole way from the button to the end of our exchange; the last answer."""
    page = browser.get(f"/lab/sign-in?{urlencode({'next': after})}", headers=HTML).text
    assert "Sign in with 127.0.0.1" in page
    started = browser.get(f"/lab/provider?{urlencode({'name': 'default', 'next': after})}")
    there = browser.get(started.headers["location"])
    assert there.status_code == 302, there.text
    called = browser.get(provider.authorize(there.headers["location"]))
    assert urlsplit(called.headers["location"]).path == "/"
    home = browser.get(called.headers["location"], headers=HTML)
    if home.headers["location"] != "/lab/vouched":
        return home
    return browser.get(home.headers["location"], headers=HTML)


def test_somebody_whom_the_provider_vouches_for_becomes_a_student(
    browser: TestClient, provider: Provider
) -> None:
    answer = follow(browser, provider)
    assert answer.status_code == 303 and answer.headers["location"] == "/maps?run=a"
    assert browser.get("/").json() == {"behind": "the door", "name": "Eve Ångström", "role": "student"}
    assert not [name for name in browser.cookies if name.startswith(PROVIDER_COOKIE)]
    (made,) = people.list_people()
    assert made.provider == provider.url and not people.has_password(made.id)
    assert people.check("Eve Ångström", "") is None


def test_the_same_person_comes_back_under_a_new_name_and_another_of_the_same_name_is_another(
    browser: TestClient, provider: Provider
) -> None:
    follow(browser, provider)
    (first,) = people.list_people()
    people.set_role(first.id, "teacher")
    browser.cookies.clear()
    provider.claims["name"] = "Eve Otherwise"
    follow(browser, provider)
    assert browser.get("/").json()["role"] == "teacher" and len(people.list_people()) == 1
    browser.cookies.clear()
    provider.claims |= {"sub": "s-2", "name": "Eve Ångström"}
    follow(browser, provider)
    assert browser.get("/").json() == {"behind": "the door", "name": "Eve Ångström 2", "role": "student"}


@pytest.mark.parametrize(
    ("change", "let_in"),
    [
        ({"email": "guest@other.example"}, True),
        ({"email": "GUEST@OTHER.EXAMPLE"}, True),
        ({"email": "host@other.example"}, False),
        ({"email": "eve@sub.school.example"}, False),
        ({"email": "eve@school.example.evil.example"}, False),
        ({"email": "eve@evil.example@school.example"}, False),
        ({"email_verified": False}, False),
        ({"email_verified": "true"}, False),
        ({"email_verified": None}, False),
        ({"email": None}, False),
        ({"email": ["eve@school.example"]}, False),
    ],
)
def test_only_checked_addresses_on_the_operators_list_are_let_in(
    browser: TestClient, provider: Provider, change: dict[str, Any], let_in: bool
) -> None:
    provider.claims |= change
    answer = follow(browser, provider)
    if let_in:
        assert browser.get("/").status_code == 200
        return
    assert answer.headers["location"] == "/lab/sign-in?refused=address" and COOKIE not in browser.cookies
    assert people.list_people() == [] and browser.get("/").status_code == 401
    assert "not one of those" in browser.get(answer.headers["location"]).text


def test_a_star_lets_in_whomever_the_provider_knows(
    browser: TestClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_OIDC_ALLOW", "*")
    provider.claims = {"sub": "s-9"}
    follow(browser, provider)
    assert browser.get("/").json()["name"] == "Student"


def test_a_blocked_person_is_not_let_in_by_the_provider_either(
    browser: TestClient, provider: Provider
) -> None:
    follow(browser, provider)
    people.block(people.list_people()[0].id)
    assert browser.get("/").status_code == 401
    browser.cookies.clear()
    assert follow(browser, provider).headers["location"] == "/lab/sign-in?refused=blocked"
    assert browser.get("/").status_code == 401


def test_an_answer_signed_with_another_key_is_worth_nothing(browser: TestClient, provider: Provider) -> None:
    provider.forged = True
    answer = follow(browser, provider)
    assert urlsplit(answer.headers["location"]).path == "/lab/sign-in"
    assert people.list_people() == [] and browser.get("/").status_code == 401


def signed(claims: dict[str, Any], secret: str | None = None) -> str:
    value = create_signed_value(secret or get_cookie_secret(), PROVIDER_COOKIE, json.dumps(claims))
    return value.decode()


def test_b26_a_forged_or_foreign_claim_is_worth_nothing(browser: TestClient, provider: Provider) -> None:
    good = {"iss": provider.url, "origin": SITE, "is_logged_in": True, **VERIFIED}
    wrong = [signed(good, "another secret"), "x", "", signed({**good, "origin": "http://evil.example"})]
    wrong += [
        signed({**good, "is_logged_in": False}),
        signed({**good, "sub": ""}),
        signed({**good, "iss": 3}),
    ]
    payload, _, signature = signed(good).rpartition(".")
    other = f"{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    wrong += [signed([good]), other]  # type: ignore[arg-type]
    for cookie in wrong:
        answer = browser.get("/lab/vouched", headers={"Cookie": f"{PROVIDER_COOKIE}={cookie}"})
        assert answer.headers["location"] == "/lab/sign-in?refused=provider", cookie
        assert COOKIE not in answer.cookies
    answer = browser.get("/lab/vouched", headers={"Cookie": f"{PROVIDER_COOKIE}={signed(good)}"})
    assert COOKIE in answer.cookies  # so that each of the others failed for its own reason


def test_b26_what_the_provider_said_long_ago_is_worth_nothing(
    browser: TestClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"iss": provider.url, "origin": SITE, "is_logged_in": True, **VERIFIED}
    cookie = {"Cookie": f"{PROVIDER_COOKIE}={signed(good)}"}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + oidc.FRESH_SECONDS + 5)
    assert "refused=provider" in browser.get("/lab/vouched", headers=cookie).headers["location"]


def test_only_a_provider_of_ours_can_be_asked(browser: TestClient) -> None:
    for name in ("", "google", "default_x", "../x"):
        assert browser.get("/lab/provider", params={"name": name}).status_code == 404


def test_a_named_provider_is_offered_by_its_name(
    browser: TestClient, provider: Provider, secrets: Told
) -> None:
    about = {"client_id": "lab", "client_secret": CLIENT_SECRET}
    about["server_metadata_url"] = f"{provider.url}/.well-known/openid-configuration"
    configure(secrets, provider.url, client_id="", client_secret="", server_metadata_url="", school=about)
    assert oidc.providers() == [("school", "School")]
    assert "Sign in with School" in browser.get("/lab/sign-in").text
    oidc.check(settings())
    started = browser.get("/lab/provider", params={"name": "school"})
    called = browser.get(provider.authorize(browser.get(started.headers["location"]).headers["location"]))
    assert PROVIDER_COOKIE in browser.cookies and called.headers["location"] == "/"
    assert browser.get("/lab/vouched").headers["location"] == "/"
    assert browser.get("/").json()["name"] == "Eve Ångström"
    configure(secrets, provider.url, my_school=about)
    with pytest.raises(UserError, match="underscore"):
        oidc.check(settings())


def test_a_secrets_file_of_another_form_names_no_provider(secrets: Told, tmp_path: Path) -> None:
    secrets()
    for text in ('auth = "x"', "", "[other]", "[auth]", "not toml ["):
        (tmp_path / "secrets.toml").write_text(text)
        secrets_singleton._reset()
        assert oidc.providers() == [], text


def test_who_signs_in_by_a_provider_has_no_password_to_change(
    browser: TestClient, provider: Provider
) -> None:
    follow(browser, provider)
    (one,) = people.list_people()
    with pytest.raises(UserError, match="change your password there"):
        people.change_password(one.id, "x", "a new password")
    with pytest.raises(UserError, match="through a provider"):
        people.set_password(one.id, "a new password")


# the start


class Options(dict[str, object]):
    def __call__(self, name: str) -> object:
        return self[name]


def start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup.st, "get_option", Options({"server.allowedHosts": ["lab.example"]}))
    startup.check_mode(settings(), "0.0.0.0")


def test_b29_a_provider_lets_a_class_start_without_a_teacher(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch)


@pytest.mark.parametrize("lacking", ["authlib", "httpx"])
def test_without_authlib_the_start_says_what_to_install(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setattr(oidc, "find_spec", lambda name: None if name == lacking else "there")
    with pytest.raises(UserError, match=r"pip install -r requirements-class\.txt"):
        start(monkeypatch)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"redirect_uri": ""}, "redirect_uri"),
        ({"redirect_uri": f"{SITE}/elsewhere"}, "redirect_uri"),
        ({"client_secret": ""}, "lacks client_secret"),
        ({"server_metadata_url": ""}, "lacks server_metadata_url"),
    ],
)
def test_a_provider_that_cannot_work_ends_the_start(
    provider: Provider, secrets: Told, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], words: str
) -> None:
    configure(secrets, provider.url, **change)
    with pytest.raises(UserError, match=words) as refused:
        start(monkeypatch)
    assert CLIENT_SECRET not in str(refused.value)


def test_a_provider_without_a_list_of_whom_to_let_in_ends_the_start(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REPLAB_OIDC_ALLOW")
    with pytest.raises(UserError, match="REPLAB_OIDC_ALLOW"):
        start(monkeypatch)


def test_b27_streamlit_signs_with_a_key_of_the_workspace_unless_one_is_named(
    provider: Provider, secrets: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(oidc.config, "set_option", given.__setitem__)
    monkeypatch.setattr(oidc.config, "get_where_defined", lambda name: "<default>")
    oidc.set_cookie_secret()
    assert given == {"server.cookieSecret": store.derived("streamlit cookies")}
    assert len(given["server.cookieSecret"]) == 64
    assert store.secret().hex() not in given["server.cookieSecret"]
    given.clear()
    monkeypatch.setattr(oidc.config, "get_where_defined", lambda name: "environment variable")
    oidc.set_cookie_secret()
    assert given == {}
    configure(secrets, provider.url, cookie_secret="one that the operator chose")
    assert get_cookie_secret() == "one that the operator chose"


def test_a_vouched_persons_name_is_one_that_can_be_shown(ada: Person) -> None:
    assert people.vouched("i", "1", "Ada").name == "Ada 2"
    assert people.vouched("i", "2", "ada").name == "ada 3"
    assert people.vouched("i", "3", "a\u202eb\n" + "x" * 200).name.startswith("a b x")
    assert len(people.vouched("i", "3", "").name) == 60
    assert people.vouched("i", "4", "\u200b").name == "Student"
