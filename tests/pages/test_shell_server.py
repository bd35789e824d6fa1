"""The gate and the server's own routes, asked over HTTP without a browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.data.dataset import Dataset
from engine.data.writer import DatasetWriter
from engine.settings import settings
from pages.components import data_routes, server, upload_routes
from pages.components.gate import Gate, host_name

OWN = {"X-Replab": "1", "X-File-Name": "set.zip"}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def client(workspace: Path) -> Iterator[TestClient]:
    settings().uploads.mkdir(parents=True)
    settings().tmp.mkdir()
    pages = [Route("/", lambda request: PlainTextResponse("page")), WebSocketRoute("/_stcore/stream", echo)]
    app = Starlette(routes=[*server.routes(), *pages], middleware=server.middleware())
    with TestClient(app, base_url="http://127.0.0.1:8501") as test_client:
        yield test_client


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    """Four images: a photograph that lies on its side by EXIF, with a GPS place, and three small ones."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 400, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    with DatasetWriter('Ünïts "quoted"\r\nX-Evil: 1 🐜') as writer:
        for shade in range(4):
            buffer = io.BytesIO()
            if shade == 0:
                photo.save(buffer, "JPEG", exif=exif)
            else:
                Image.new("RGB", (32, 32), (shade * 60, 0, 0)).save(buffer, "PNG")
            writer.add(buffer.getvalue(), f"cats/{shade}.jpg")
        return writer.finish(classes=["cats"], labels=np.zeros(4, int), splits=np.zeros(4, int))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        *(
            ("localhost", "localhost"),
            ("127.0.0.1:8501", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("LOCALHOST.", "localhost"),
        ),
        *(
            ("a@localhost", None),
            ("localhost:x", None),
            ("", None),
            ("localhost/x", None),
            ("localhost?a", None),
        ),
    ],
)
def test_the_host_header_is_read_strictly(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("path", ["/", "/lab/plotly.min.js", "/lab/nothing", "/_stcore/health"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example"])
def test_a_foreign_host_sees_nothing(client: TestClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 403 and "page" not in answer.text


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_a_foreign_socket_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers=headers):
        pass


def test_our_own_socket_is_let_in(client: TestClient) -> None:
    headers = {"Host": "127.0.0.1:8501", "Origin": "http://127.0.0.1:8501"}
    with client.websocket_connect("/_stcore/stream", headers=headers):
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"X-Replab": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_another_sites_page_cannot_upload(client: TestClient, change: dict[str, str]) -> None:
    answer = client.put("/lab/upload", content=b"x", headers={**OWN, **change})
    assert answer.status_code == 403
    assert not list(settings().uploads.iterdir())


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/lab/nothing", "/lab/fonts/inter-latin.woff2"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "http:" not in policy and "https:" not in policy and "*" not in policy


def test_plotly_and_fonts_come_from_here_and_may_be_kept(client: TestClient) -> None:
    for path, kind in (
        ("/lab/plotly.min.js", "text/javascript"),
        ("/lab/fonts/inter-latin.woff2", "font/woff2"),
    ):
        answer = client.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"] and len(answer.content) > 10_000
    assert client.get("/lab/fonts/..%2Flogo.svg").status_code == 404


def test_an_image_is_drawn_anew_upright_and_without_its_place(client: TestClient, dataset: Dataset) -> None:
    answer = client.get(f"/lab/datasets/{dataset.id}/images/0.jpg?size=224")
    picture = Image.open(io.BytesIO(answer.content))
    assert answer.headers["content-type"] == "image/jpeg" and "immutable" in answer.headers["cache-control"]
    assert picture.size == (60, 400) and not picture.getexif()
    assert answer.content != dataset.raw_bytes(0)


def test_a_small_image_is_served_without_loss(client: TestClient, dataset: Dataset) -> None:
    answer = client.get(f"/lab/datasets/{dataset.id}/images/2.jpg?size=96")
    assert answer.headers["content-type"] == "image/png"
    assert np.asarray(Image.open(io.BytesIO(answer.content)))[5, 5].tolist() == [120, 0, 0]


@pytest.mark.parametrize(
    "path",
    [
        *("nothing-here/images/0.jpg", "..%2f..%2fetc/images/0.jpg", "UPPER/images/0.jpg", "ID/images/9.jpg"),
        *("ID/images/-1.jpg", "ID/images/1e3.jpg", "ID/images/0.jpg?size=x", "ID/images/%2e%2e.jpg"),
        *("nothing-here/download.zip", "..%2fruns/download.zip"),
    ],
)
def test_a_wrong_address_is_one_sentence(client: TestClient, dataset: Dataset, path: str) -> None:
    answer = client.get("/lab/datasets/" + path.replace("ID", dataset.id))
    assert answer.status_code == 404
    sentence = answer.json()["error"]
    assert (
        10 < len(sentence) <= 300
        and "Traceback" not in sentence
        and str(settings().workspace) not in sentence
    )


def test_the_name_of_a_download_is_plain_ascii() -> None:
    assert data_routes.ascii_name('Ünïts "quoted"\r\nX-Evil: 1 🐜', "fallback") == "nts-quoted-x-evil-1"
    assert data_routes.ascii_name("日本語", "fallback") == "fallback"
    assert len(data_routes.ascii_name("x" * 300, "fallback")) <= 60


def test_an_upload_arrives_whole_under_a_name_of_ours(client: TestClient) -> None:
    body = np.random.default_rng(0).bytes(3_000_000)
    headers = {**OWN, "X-File-Name": "..%2F..%2Fm%C3%BCller%20%3Cb%3E.TAR.GZ"}
    answer = client.put("/lab/upload", content=body, headers=headers).json()
    found = upload_routes.find_upload(answer["upload"])
    assert found is not None and found[0].read_bytes() == body
    assert found[0].parent == settings().uploads and found[0].name == f"{answer['upload']}.tar.gz"
    assert found[1] == answer["name"] == "../../müller <b>.TAR.GZ" and answer["bytes"] == len(body)
    upload_routes.discard_upload(answer["upload"])
    assert not list(settings().uploads.iterdir())


@pytest.mark.parametrize("announce", [True, False])
def test_too_large_a_file_is_refused_and_leaves_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, announce: bool
) -> None:
    monkeypatch.setenv("REPLAB_MAX_UPLOAD_BYTES", "2000000")
    body = b"x" * 2_000_001
    answer = client.put(
        "/lab/upload", content=body if announce else iter([body[:1_500_000], body[1_500_000:]]), headers=OWN
    )
    assert answer.status_code == 413 and "2.0 MB" in answer.json()["error"]
    assert not list(settings().uploads.iterdir())


@pytest.mark.parametrize("name", ["", "a.exe", "zip", "a.zip.html", "a.svg"])
def test_other_kinds_of_files_are_refused(client: TestClient, name: str) -> None:
    answer = client.put("/lab/upload", content=b"x", headers={**OWN, "X-File-Name": name})
    assert answer.status_code == 415 and ".zip" in answer.json()["error"]


def test_an_empty_file_is_refused(client: TestClient) -> None:
    answer = client.put("/lab/upload", content=b"", headers=OWN)
    assert answer.status_code == 400 and "empty" in answer.json()["error"]


def test_a_nearly_full_disk_refuses_uploads(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    answer = client.put("/lab/upload", content=b"x", headers=OWN)
    assert answer.status_code == 507 and "disk" in answer.json()["error"]
    assert not list(settings().uploads.iterdir())


def test_only_so_many_uploads_run_at_once(client: TestClient) -> None:
    for _ in range(upload_routes.MAX_AT_ONCE):
        assert upload_routes._slots.acquire(blocking=False)
    try:
        answer = client.put("/lab/upload", content=b"x", headers=OWN)
        assert answer.status_code == 503 and "under way" in answer.json()["error"]
    finally:
        for _ in range(upload_routes.MAX_AT_ONCE):
            upload_routes._slots.release()
    assert client.put("/lab/upload", content=b"x", headers=OWN).status_code == 200


def test_a_broken_off_upload_leaves_nothing(workspace: Path) -> None:
    """The client goes away in the middle: no part, no file, and the slot is free again."""
    import asyncio

    settings().uploads.mkdir(parents=True)
    messages = iter(
        [{"type": "http.request", "body": b"x" * 1_200_000, "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, object]:
        return next(messages)  # type: ignore[return-value]

    from starlette.requests import Request

    scope = {
        "type": "http",
        "method": "PUT",
        "headers": [(b"x-file-name", b"a.zip"), (b"content-length", b"5000000")],
        "path": "/lab/upload",
        "query_string": b"",
    }
    answer = asyncio.run(upload_routes.put(Request(scope, receive)))
    assert answer.status_code == 400
    assert not list(settings().uploads.iterdir())
    assert upload_routes._slots._value == upload_routes.MAX_AT_ONCE  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "../x", "a" * 16 + "/", "ABCDEFGHIJKLMNOP"])
def test_an_upload_id_is_checked_before_it_is_a_path(workspace: Path, text: str) -> None:
    assert upload_routes.find_upload(text) is None


def test_gate_can_be_given_other_names() -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("page"))])
    asked = TestClient(Gate(app, ["lab.example"]), base_url="http://lab.example")
    assert asked.get("/").text == "page"
    assert asked.get("/", headers={"Host": "localhost"}).status_code == 403
