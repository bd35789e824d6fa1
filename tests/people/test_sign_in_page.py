"""The pages for signing in, joining and changing a password, as a browser without script sees them."""

from __future__ import annotations

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from engine import people
from engine.access import Person
from engine.people import passwords
from pages.components import sign_in as sign_in_routes
from pages.components.session_gate import COOKIE
from tests.people.conftest import HTML, PASSWORD, SITE, Clock, form_token, post, sign_in

ROOT = Path(__file__).resolve().parents[2]
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def inputs(self) -> dict[str, dict[str, str | None]]:
        return {str(attrs["name"]): attrs for tag, attrs in self.found if tag == "input"}


def error_in(page: str) -> str:
    return re.search(r'role="alert">([^<]*)<', page)[1]  # type: ignore[index]


def same(page: str) -> str:
    """A page without what differs from one to the next."""
    return re.sub(r'name="form" value="[^"]+"|name="name" value="[^"]*"', "", page)


def test_the_answer_is_the_same_for_a_wrong_password_an_unknown_name_and_a_blocked_person(
    client: TestClient, ada: Person, ben: Person
) -> None:
    people.block(ben.id)
    answers = [
        sign_in(client, "Ada", "not the password"),
        sign_in(client, "Nobody", PASSWORD),
        sign_in(client),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({same(answer.text) for answer in answers}) == 1
    assert error_in(answers[0].text) == people.WRONG and COOKIE not in client.cookies
    assert [answer.headers.get("set-cookie", "").count("=") for answer in answers].count(0) == 0


def test_an_unknown_name_costs_as_many_hashings(
    client: TestClient, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []
    real = passwords._scrypt
    monkeypatch.setattr(
        passwords, "_scrypt", lambda text, salt, n, r, p: asked.append((n, r, p)) or real(text, salt, n, r, p)
    )
    for name in ("Ada", "Nobody", "", EVIL):
        sign_in(client, name, "not the password")
    assert len(asked) == 4 and len(set(asked)) == 1


@pytest.mark.parametrize("path", ["/lab/sign-in", "/lab/join", "/lab/password"])
def test_what_is_typed_is_text_and_no_element(client: TestClient, ben: Person, path: str) -> None:
    people.new_code()
    if path == "/lab/password":
        people.add(EVIL[:60], PASSWORD)
        sign_in(client, EVIL[:60])
        page = client.get(path).text
    else:
        page = post(
            client, path, name=EVIL, password=PASSWORD, again=PASSWORD, code="x", next=f"/{EVIL}"
        ).text
    found = Elements(page)
    assert found.inputs()["name"]["value"] == (EVIL[:60] if path == "/lab/password" else EVIL)
    assert not [tag for tag, attrs in found.found if tag == "script" or "onerror" in attrs]
    assert [attrs["src"] for tag, attrs in found.found if tag == "img"] == ["/lab/logo.svg"]
    assert found.inputs()["next"]["value"] == "/"


def test_the_page_needs_and_allows_no_script_and_nothing_from_elsewhere(client: TestClient) -> None:
    people.new_code()
    for path in ("/lab/sign-in", "/lab/join", "/lab/sign-in?next=/maps&refused=address"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "frame-ancestors 'none'" in policy and answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        found = Elements(answer.text)
        assert not [
            attrs for _, attrs in found.found if "style" in attrs or any(a.startswith("on") for a in attrs)
        ]
        links = [
            attrs.get(name) for _, attrs in found.found for name in ("href", "src", "action") if name in attrs
        ]
        assert links and all(str(link).startswith("/") for link in links)


def test_browsers_know_what_to_fill_in(client: TestClient, ben: Person) -> None:
    people.new_code()
    fields = Elements(client.get("/lab/sign-in").text).inputs()
    assert fields["name"]["autocomplete"] == "username"
    assert (
        fields["password"]["autocomplete"] == "current-password" and fields["password"]["type"] == "password"
    )
    fields = Elements(client.get("/lab/join").text).inputs()
    assert [fields[name]["autocomplete"] for name in ("password", "again", "code")] == [
        "new-password"
    ] * 2 + ["off"]
    sign_in(client)
    fields = Elements(client.get("/lab/password").text).inputs()
    completed = [fields[name]["autocomplete"] for name in ("name", "old", "password", "again")]
    assert completed == ["username", "current-password", "new-password", "new-password"]


def test_joining_from_the_page(client: TestClient, ben: Person) -> None:
    assert "New here?" not in client.get("/lab/sign-in").text
    assert "Nobody can join" in client.get("/lab/join").text
    code = people.new_code()
    assert "New here?" in client.get("/lab/sign-in").text
    good: dict[str, Any] = {"name": "Cleo", "password": PASSWORD, "again": PASSWORD, "code": code}
    for change, words in (
        ({"again": "something else"}, "not the same"),
        ({"password": "short", "again": "short"}, "at least 8 letters"),
        ({"password": "cleo cleo", "again": "cleo cleo", "name": "CLEO CLEO"}, "is the name"),
        ({"code": "wrong"}, "not the class code"),
        ({"name": "ben"}, "is taken"),
        ({"name": "  "}, "1 to 60 visible letters"),
    ):
        answer = post(client, "/lab/join", **{**good, **change})
        assert answer.status_code == 400 and words in error_in(answer.text), words
        assert PASSWORD not in answer.text and code not in answer.text
    assert COOKIE not in client.cookies and [one.name for one in people.list_people()] == ["Ben"]
    answer = post(client, "/lab/join", **good, next="/maps")
    assert answer.status_code == 303 and answer.headers["location"] == "/maps"
    assert client.get("/").json()["name"] == "Cleo"


def test_the_wait_is_told_in_seconds(client: TestClient, ben: Person, clock: Clock) -> None:
    for _ in range(10):
        assert sign_in(client, "Ben", "not the password").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429 and answer.headers["retry-after"] == "2"
    assert error_in(answer.text) == "Too many wrong tries: wait 2 s, then try again."
    clock.passes(3)
    assert sign_in(client).status_code == 303


def test_changing_the_password_signs_out_everywhere_else(
    client: TestClient, another: TestClient, ben: Person
) -> None:
    sign_in(client)
    sign_in(another)
    new = "a quite different one"
    for fields, words in (
        ({"old": "not the password", "password": new, "again": new}, "present password is wrong"),
        ({"old": PASSWORD, "password": new, "again": new + "x"}, "not the same"),
        ({"old": PASSWORD, "password": "short", "again": "short"}, "at least 8"),
    ):
        answer = post(client, "/lab/password", **fields)
        assert answer.status_code == 400 and words in error_in(answer.text)
    before = client.cookies[COOKIE]
    assert post(client, "/lab/password", old=PASSWORD, password=new, again=new).status_code == 303
    assert client.cookies[COOKIE] != before and client.get("/").json()["name"] == "Ben"
    assert another.get("/").status_code == 401
    assert sign_in(another).status_code == 401 and sign_in(another, "Ben", new).status_code == 303


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"a" * 20_000, b"&".join(b"a=b" for _ in range(50)), b"form=&form=", b"form"]
)
def test_a_malformed_form_is_a_sentence(client: TestClient, ben: Person, body: bytes) -> None:
    client.get("/lab/sign-in")
    headers = {"Origin": SITE, "Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/lab/sign-in", content=body, headers=headers)
    assert answer.status_code == 400 and "try again" in error_in(answer.text)


def test_too_many_who_wait_are_told_so(
    client: TestClient, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_routes, "MOST_WAITING", 0)
    answer = sign_in(client)
    assert answer.status_code == 503 and "Many people" in error_in(answer.text)


def test_an_open_form_still_works_in_a_second_window(client: TestClient, ben: Person) -> None:
    first = form_token(client.get("/lab/sign-in", headers=HTML).text)
    assert form_token(client.get("/lab/sign-in", headers=HTML).text) == first


def test_the_page_has_the_apps_own_colours() -> None:
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    css = (ROOT / "assets" / "sign_in.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    for part, colours in ((light, theme["light"]), (dark, theme["dark"])):
        for name in ("primaryColor", "backgroundColor", "textColor", "borderColor"):
            assert colours[name] in part, name


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_b27_tries_are_counted_by_network_where_a_person_has_many_addresses(host: str, counted: str) -> None:
    assert sign_in_routes.address(Request({"type": "http", "client": (host, 1), "headers": []})) == counted
