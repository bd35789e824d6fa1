"""The door of a class server: who is let in, as whom, and what everybody else gets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from engine import access, people
from engine.access import THE_OPERATOR, THE_VISITOR, Person
from engine.people import sessions
from pages.components import person, server, session_gate, startup
from pages.components.session_gate import COOKIE, OPEN, safe_next
from tests.people.conftest import BEHIND, HTML, PASSWORD, SITE, Clock, door, form_token, post, sign_in

SOCKET = {"Origin": SITE}
STREAM = SITE.replace("http", "ws") + "/_stcore/stream"


def own_paths() -> Iterator[str]:
    for route in server.routes():
        path = route.path.replace("{rest:path}", "anything")  # type: ignore[attr-defined]
        yield path.replace("{index}", "0").replace("{name}", "x").replace("{", "").replace("}", "")


@pytest.mark.parametrize("path", BEHIND)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_b22_a_visitor_gets_nothing_from_behind_the_door(client: TestClient, path: str, method: str) -> None:
    answer = client.request(method, path, headers={"Origin": SITE, "X-Replab": "1"})
    assert answer.status_code == 401 and "behind" not in answer.text


def test_b22_every_own_route_but_those_of_the_sign_in_page_needs_a_session(client: TestClient) -> None:
    paths = list(own_paths())
    assert len(paths) > 25 and "/lab/upload" in paths
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = client.request(method, path, headers={"Origin": SITE, "X-Replab": "1"})
            assert (answer.status_code == 401) == (path not in OPEN), f"{method} {path}"


def test_b22_what_is_open_is_a_short_written_list() -> None:
    assert OPEN == {
        *("/lab/sign-in", "/lab/join", "/lab/sign-out", "/lab/provider", "/lab/vouched"),
        *("/lab/sign-in.css", "/lab/logo.svg", "/lab/icon.svg"),
        *("/lab/fonts/inter-latin.woff2", "/lab/fonts/inter-latin-ext.woff2"),
        *("/auth/login", "/oauth2callback", "/auth/logout", "/_stcore/health"),
    }


@pytest.mark.parametrize("path", ["/lab/sign-in/", "//lab/sign-in", "/lab/sign-in/../upload", "/LAB/sign-in"])
def test_b22_nothing_but_the_exact_path_is_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (401, 307) and "behind" not in client.get(path).text


def test_b22_a_visitors_page_leads_to_the_sign_in_page_with_the_way_back(client: TestClient) -> None:
    answer = client.get("/data-sets?data=digits&x=%2F%26", headers=HTML)
    there = urlsplit(answer.headers["location"])
    assert answer.status_code == 303 and there.path == "/lab/sign-in" and not there.netloc
    assert parse_qs(there.query)["next"] == ["/data-sets?data=digits&x=%2F%26"]
    assert client.get("/", headers=HTML).headers["location"] == "/lab/sign-in"
    page = client.get("/lab/sign-in")
    assert page.status_code == 200 and "Representation Lab" in page.text and "<script" not in page.text
    for path in ("/lab/sign-in.css", "/lab/logo.svg", "/lab/icon.svg", "/lab/fonts/inter-latin.woff2"):
        assert client.get(path).status_code == 200
    assert client.get("/_stcore/health").text == "ok"


@pytest.mark.parametrize("cookie", [None, "", "x", "a" * 43, "../../secret"])
def test_b22_a_visitors_socket_is_closed_before_it_opens(client: TestClient, cookie: str | None) -> None:
    headers = SOCKET | ({} if cookie is None else {"Cookie": f"{COOKIE}={cookie}"})
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect(STREAM, headers=headers),
    ):
        pass
    assert closed.value.code == 4401


def test_who_signs_in_is_let_in_as_themselves(client: TestClient, ben: Person) -> None:
    answer = sign_in(client, "ben", next="/data-sets?data=digits")
    assert answer.status_code == 303 and answer.headers["location"] == "/data-sets?data=digits"
    for path in ("/", "/thread", "/media/abc.png"):
        assert client.get(path).json() == {"behind": "the door", "name": "Ben", "role": "student"}
    assert client.get("/lab/who").json() == {"name": "Ben", "role": "student"}
    with client.websocket_connect(STREAM, headers=SOCKET) as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert client.get("/lab/sign-in", headers=HTML).status_code == 303  # nothing more to do there


def test_b26_a_role_comes_from_the_store_whatever_the_client_sends(client: TestClient, ada: Person) -> None:
    code = people.new_code()
    fields = {
        "name": "Ben",
        "password": PASSWORD,
        "again": PASSWORD,
        "code": code,
        "role": "teacher",
        "id": ada.id,
    }
    assert post(client, "/lab/join", **fields).status_code == 303
    client.cookies.set("role", "teacher")
    headers = {"X-Role": "teacher", "X-Person": ada.id, "X-Forwarded-User": "Ada"}
    assert client.get("/?role=teacher", headers=headers).json()["role"] == "student"
    assert [(one.name, one.role) for one in people.list_people()] == [("Ada", "teacher"), ("Ben", "student")]


def test_b26_a_planted_token_never_becomes_a_session(client: TestClient, ben: Person) -> None:
    planted = "A" * 43
    client.cookies.set(COOKIE, planted)
    given = sign_in(client).cookies[COOKIE]
    assert given != planted and sessions.person_of(planted) is None and sessions.person_of(given) == ben


def test_b26_signing_in_again_ends_the_session_before(client: TestClient, ada: Person, ben: Person) -> None:
    first = sign_in(client).cookies[COOKIE]
    page = client.get("/lab/password").text
    fields = {"form": form_token(page), "name": "Ada", "password": PASSWORD}
    second = client.post("/lab/sign-in", data=fields, headers=SOCKET).cookies[COOKIE]
    assert sessions.person_of(first) is None and sessions.person_of(second) == ada


def test_b26_a_changed_cookie_is_nobodys(client: TestClient, ben: Person) -> None:
    token = sign_in(client).cookies[COOKIE]
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", token[:-1], token.swapcase()):
        client.cookies.clear()
        assert client.get("/", headers={"Cookie": f"{COOKIE}={wrong}"}).status_code == 401
    assert client.get("/", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 200


def test_b26_an_old_session_is_over(client: TestClient, ben: Person, clock: Clock) -> None:
    sign_in(client)
    clock.passes(11 * 3600)
    assert client.get("/lab/who").status_code == 200  # a page that only looks on
    clock.passes(2 * 3600)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("how", ["block", "remove", "sign out"])
def test_b26_an_open_socket_is_closed_when_its_session_ends(
    client: TestClient, ben: Person, how: str
) -> None:
    sign_in(client)
    with client.websocket_connect(STREAM, headers=SOCKET) as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
        if how == "sign out":
            assert client.post("/lab/sign-out", headers={**SOCKET, "X-Replab": "1"}).json() == {
                "to": "/lab/sign-in"
            }
        else:
            getattr(people, how)(ben.id)
        socket.send_text("still there?")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 4401
    assert client.get("/").status_code == 401


def test_signing_out_ends_the_session_and_takes_the_cookie(client: TestClient, ben: Person) -> None:
    token = sign_in(client).cookies[COOKIE]
    assert client.post("/lab/sign-out", headers=SOCKET).status_code == 403  # as another site's form would
    assert sessions.person_of(token) == ben
    answer = client.post("/lab/sign-out", headers={**SOCKET, "X-Replab": "1"})
    assert f'{COOKIE}=""' in answer.headers["set-cookie"] and COOKIE not in client.cookies
    assert sessions.person_of(token) is None
    assert client.get("/", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 401


def test_the_cookie_is_for_this_site_and_not_for_scripts(
    client: TestClient, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sign_in(client).headers["set-cookie"].lower()
    assert "httponly" in given and "samesite=lax" in given and "path=/" in given and "secure" not in given
    client.cookies.clear()
    monkeypatch.setenv("REPLAB_HTTPS", "1")
    page = client.get("/lab/sign-in")
    cookie = {"Cookie": f"replab_form={form_token(page.text)}"}  # a plain client sends no secure one
    fields = {"form": form_token(page.text), "name": "Ben", "password": PASSWORD}
    given = (
        client.post("/lab/sign-in", data=fields, headers={**SOCKET, **cookie}).headers["set-cookie"].lower()
    )
    assert "secure" in given
    monkeypatch.delenv("REPLAB_HTTPS")
    with door() as by_https:
        by_https.base_url = "https://127.0.0.1:8501"  # type: ignore[assignment]
        answer = post(by_https, "/lab/sign-in", name="Ben", password=PASSWORD)
        assert "secure" in answer.headers["set-cookie"].lower()


OUTSIDE = [
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
]
OUTSIDE += ["javascript:alert(1)", "/%0d%0aSet-Cookie:x", "evil.example", "", "/ /evil", "/é", "/x" * 300]
OUTSIDE += ["/lab/sign-in?next=/lab/sign-in", "/lab/sign-out", "/auth/login?provider=x", "/lab/vouched"]


@pytest.mark.parametrize("there", OUTSIDE)
def test_b26_signing_in_leads_nowhere_else(client: TestClient, ben: Person, there: str) -> None:
    answer = sign_in(client, next=there)
    assert answer.status_code == 303
    location = answer.headers["location"]
    if there == "/%0d%0aSet-Cookie:x":  # a path of this site whose escapes stay escapes
        assert location == there and "set-cookie:x" not in answer.headers
    else:
        assert location == "/"
    assert client.get("/lab/sign-in", params={"next": there}).headers["location"] in ("/", location)


def test_a_path_of_this_site_is_kept() -> None:
    for there in ("/", "/maps?run=abc&x=1", "/lab/datasets/a/download.zip"):
        assert safe_next(there) == there


# other sites' pages


def test_b28_a_socket_of_another_site_or_of_no_page_is_refused(client: TestClient, ben: Person) -> None:
    sign_in(client)
    wrong = [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}]
    wrong += [{"Host": "evil.example", "Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}]
    for headers in wrong:
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            client.websocket_connect(STREAM, headers=headers),
        ):
            pass
        assert closed.value.code == 4403, headers
    with client.websocket_connect(STREAM, headers=SOCKET):
        pass


@pytest.mark.parametrize("path", ["/", "/lab/sign-in", "/_stcore/health", "/media/abc.png"])
def test_b28_a_foreign_host_sees_nothing_signed_in_or_not(client: TestClient, ben: Person, path: str) -> None:
    token = sign_in(client).cookies[COOKIE]
    for headers in ({}, {"Cookie": f"{COOKIE}={token}"}):
        answer = client.get(path, headers={"Host": "evil.example", **headers})
        assert answer.status_code == 403 and "behind" not in answer.text and "password" not in answer.text


@pytest.mark.parametrize("path", ["/lab/sign-in", "/lab/join", "/lab/password"])
def test_b28_a_form_is_taken_only_from_our_own_page(client: TestClient, ben: Person, path: str) -> None:
    sign_in(client)
    token = form_token(client.get("/lab/password").text)
    fields = {
        "form": token,
        "name": "Ben",
        "password": PASSWORD,
        "again": PASSWORD,
        "old": PASSWORD,
        "code": "x",
    }
    for headers in (
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
    ):
        assert client.post(path, data=fields, headers=headers).status_code == 403
    for wrong in ("", token[:-1] + "A" if token[-1] != "A" else token[:-1] + "B", "é", "x" * 43):
        answer = client.post(path, data={**fields, "form": wrong}, headers=SOCKET)
        assert answer.status_code == 400 and "try again" in answer.text
    client.cookies.delete("replab_form")
    assert client.post(path, data=fields, headers=SOCKET).status_code == 400


def test_b28_changes_by_another_site_are_refused_although_the_browser_sends_the_cookie(
    client: TestClient, ben: Person
) -> None:
    sign_in(client)
    wrong = ({"Origin": "http://evil.example", "X-Replab": "1"}, {"Origin": "null", "X-Replab": "1"}, SOCKET)
    for headers in wrong:
        assert client.put("/lab/upload", content=b"x", headers=headers).status_code == 403


def test_what_is_ones_own_to_see_is_kept_by_no_proxy(client: TestClient, ben: Person) -> None:
    sign_in(client)
    assert client.get("/kept").headers["cache-control"] == "private, max-age=9"
    for path in ("/lab/sign-in", "/lab/password", "/lab/who"):
        assert client.get(path).headers["cache-control"] == "no-store"


# as whom the server itself acts


def test_a_thread_without_a_page_acts_as_nobody(ada: Person) -> None:
    access.resolve_by(person.acting)
    found: list[Person] = []
    thread = threading.Thread(target=lambda: found.append(access.me()))
    thread.start()
    thread.join()
    assert found == [THE_VISITOR] and access.me() == THE_VISITOR


def test_housekeeping_acts_as_the_operator(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    access.resolve_by(person.acting)
    found: list[Person] = []
    startup.quietly(lambda: found.append(access.me()))
    monkeypatch.setattr(startup, "build_first_sets", lambda: found.append(access.me()))
    monkeypatch.setattr("engine.data.imports.sweep_leftovers", lambda: found.append(access.me()))
    startup.quietly(startup.prepare)
    assert found == [THE_OPERATOR] * 3


# laptop mode


def test_a_laptop_has_no_sign_in(class_mode: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    with door() as client:
        assert client.get("/").json()["role"] == "operator"
        assert client.get("/lab/sign-in").status_code == 404
        with client.websocket_connect(STREAM):
            pass
    assert not (class_mode / "people").exists()


# the start


class Options(dict[str, object]):
    def __call__(self, name: str) -> object:
        return self[name]


def started(monkeypatch: pytest.MonkeyPatch, address: str | None, hosts: list[str]) -> None:
    from engine.settings import settings

    monkeypatch.setattr(startup.st, "get_option", Options({"server.allowedHosts": hosts}))
    startup.check_mode(settings(), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", None])
def test_b29_a_class_without_anybody_who_can_sign_in_does_not_start(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    with pytest.raises(people.UserError, match="python -m engine people add NAME --teacher"):
        started(monkeypatch, address, ["lab.example"])
    ben = people.add("Ben", PASSWORD)
    with pytest.raises(people.UserError, match="people add NAME --teacher"):
        started(monkeypatch, address, ["lab.example"])
    people.set_role(ben.id, "teacher")
    started(monkeypatch, address, ["lab.example"])
    people.block(ben.id)
    with pytest.raises(people.UserError, match="people add NAME --teacher"):
        started(monkeypatch, address, ["lab.example"])


def test_b28_a_class_that_does_not_know_its_own_names_does_not_start(
    monkeypatch: pytest.MonkeyPatch, ada: Person
) -> None:
    with pytest.raises(people.UserError, match=r"server\.allowedHosts is empty"):
        started(monkeypatch, "127.0.0.1", [])


@pytest.mark.parametrize("address", ["0.0.0.0", None, "192.168.0.7", "::"])
def test_b29_a_laptop_listens_to_itself_only(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    with pytest.raises(people.UserError, match=r"127\.0\.0\.1"):
        started(monkeypatch, address, ["lab.example"])
    started(monkeypatch, "127.0.0.1", [])


def test_b33_no_password_and_no_token_is_in_any_file_or_log(
    class_mode: Path, client: TestClient, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code = people.new_code()
    secrets = [
        "a very own password",
        "yet another passphrase",
        "a wrong passphrase",
        code,
        code.replace("-", ""),
    ]
    joined = post(client, "/lab/join", name="Ben", password=secrets[0], again=secrets[0], code=code)
    first = joined.cookies[COOKIE]
    client.get("/")
    post(client, "/lab/password", old=secrets[2], password=secrets[1], again=secrets[1])
    changed = post(client, "/lab/password", old=secrets[0], password=secrets[1], again=secrets[1])
    secrets += [first, changed.cookies[COOKIE], client.cookies["replab_form"]]
    client.post("/lab/sign-out", headers={**SOCKET, "X-Replab": "1"})
    for _ in range(12):
        sign_in(client, "Ben", secrets[2])
    written = b"".join(path.read_bytes() for path in class_mode.rglob("*") if path.is_file())
    written += b"".join(path.name.encode() for path in class_mode.rglob("*"))
    assert b"Ben" in written
    for text in secrets:
        assert text.encode() not in written and text not in caplog.text, text


def test_the_gates_own_addresses_are_those_of_its_routes() -> None:
    paths = {route.path for route in server.routes()}  # type: ignore[attr-defined]
    assert {
        path for path in OPEN | session_gate.FORMS if path.startswith("/lab/") and "fonts" not in path
    } <= paths
