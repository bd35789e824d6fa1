"""What must hold of the machine: a disk that fills up, what a process is told, versions, and the network."""

from __future__ import annotations

import ast
import io
import json
import re
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine import environment, versions
from engine.data.dataset import Dataset
from engine.data.vectors import add_vectors
from engine.errors import UserError
from engine.export import making, packing
from engine.models.weights import add_weights
from engine.removal import remove_run
from engine.runs import layout, supervisor
from engine.runs.executors import executor
from engine.runs.store import RunStore
from engine.settings import PROJECT_ROOT, settings
from pages.components import server, startup
from tests.data.conftest import PLAIN, handmade_zip, members
from tests.pages.made import open_page
from tests.security.everything import Everything, everything, make_here
from tests.security.hostile import ARCH, GOOD
from tests.security.test_command_line import files_of


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    with everything(tmp_path_factory.mktemp("machine")) as found:
        yield found


# 37: a disk that is nearly full


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder with one file of each kind that people bring."""
    (tmp_path / "set.zip").write_bytes(handmade_zip(members(PLAIN)))
    (tmp_path / "w.safetensors").write_bytes(GOOD)
    np.save(tmp_path / "v.npy", np.zeros((48, 3), np.float32) + np.arange(3))
    return tmp_path


def new_run(lab: Everything) -> None:
    store = RunStore()
    store.create(store.recipe(lab.runs["classification"]).model_copy(update={"seed": 99}))


BEGUN: dict[str, Callable[[Everything, Path], Any]] = {
    "an import": lambda lab, given: _imported(given / "set.zip"),
    "a run": lambda lab, given: new_run(lab),
    "vectors": lambda lab, given: add_vectors(given / "v.npy", lab.dataset.id),
    "weights": lambda lab, given: add_weights(given / "w.safetensors", ARCH),
    "a file to take home": lambda lab, given: making.start(lab.runs["classification"], "features"),
    "several runs to take home": lambda lab, given: packing.start([lab.runs["map"]], with_data=True),
    "runs from elsewhere": lambda lab, given: _taken_in(lab, given),
    "a set of some images": lambda lab, given: _derived(lab),
    "features": lambda lab, given: _features(lab),
}


def _imported(path: Path) -> None:
    from engine.data.intake import add_dataset

    add_dataset(path)


def _derived(lab: Everything) -> None:
    from engine.data.dataset import derive

    derive(lab.dataset, np.arange(5), "five")


def _features(lab: Everything) -> None:
    from engine.evaluation.encoding import encode

    encode("random:cnn-small", lab.dataset, 24)


def _taken_in(lab: Everything, given: Path) -> None:
    from engine.export.run_import import import_runs

    path = given / "runs.zip"
    path.write_bytes(making.made_file(lab.pack).read_bytes())
    import_runs(path)


@pytest.mark.parametrize("what", BEGUN)
def test_b37_nothing_new_is_begun_on_a_nearly_full_disk(
    what: str, lab: Everything, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(lab.workspace)
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    with pytest.raises(UserError) as refused:
        BEGUN[what](lab, given)
    said = str(refused.value)
    assert "free" in said and len(said) <= 300 and str(lab.workspace) not in said
    after = files_of(lab.workspace)
    assert {name for name in after if name not in before and not name.endswith(".starting")} == set()


def test_b37_an_upload_is_refused_and_a_running_one_ends(
    lab: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(Starlette(routes=server.routes()))
    headers = {"X-File-Name": "a.zip"}
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    assert client.put("/lab/upload", content=b"x", headers=headers).status_code == 507
    answer = client.put("/lab/upload", content=iter([b"x" * 2**20] * 3), headers=headers)  # no length is told
    assert answer.status_code == 507 and "disk" in answer.json()["error"]
    assert list(settings().uploads.iterdir()) == []


def test_b37_a_run_that_meets_a_full_disk_ends_cleanly_and_keeps_what_it_had(
    lab: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.runs.writer import RunWriter

    store = RunStore()
    recipe = store.recipe(lab.runs["classification"])
    more = recipe.model_copy(update={"config": {**recipe.config, "epochs": 3}, "seed": 5})
    run = store.create(more).id
    metric = RunWriter.metric

    def full_after_one(self: RunWriter, row: Any) -> None:
        if row.get("kind") == "epoch" and row.get("epoch") == 2:
            raise OSError(28, "No space left on device")
        metric(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "metric", full_after_one)
        executor(store).submit(run)
    told = store.get(run)
    assert told.state == "failed" and "disk is full" in str(told.error) and "Resume" in str(told.error)
    assert [row["epoch"] for row in store.curve(run)["epochs"]] == [1]
    executor(store).submit(run)
    assert store.get(run).state == "done"
    assert [row["epoch"] for row in store.curve(run)["epochs"]] == [1, 2, 3]
    store.remove(run)


def test_b37_what_is_made_while_one_waits_is_refused_too(
    lab: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    client = TestClient(Starlette(routes=server.routes()))
    for address in (f"{lab.runs['classification']}/take/csv", f"{lab.runs['map']}/map.html"):
        answer = client.get(f"/lab/runs/{address}")
        assert answer.status_code == 404 and "free" in answer.json()["error"], address


def test_b37_weights_are_not_downloaded_onto_a_nearly_full_disk(
    lab: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models import pretrained

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(pretrained, "_download", lambda *told: pytest.fail("it was begun"))
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    with pytest.raises(UserError, match="free"):
        pretrained.ensure_pretrained("resnet18")


# 38: what a process is told

SECRETS = {
    "MY_API_TOKEN": "swordfish",
    "AWS_ACCESS_KEY_ID": "swordfish",
    "DATABASE_URL": "postgres://me:swordfish@db/x",
    "HTTPS_PROXY": "http://me:swordfish@proxy:1",
    "STREAMLIT_SERVER_COOKIE_SECRET": "swordfish",
    "REPLAB_OIDC_SECRET": "swordfish",
    "SSH_AUTH_SOCK": "/run/swordfish",
    "PYTHON_KEYRING_PASSWORD": "swordfish",
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in SECRETS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("REPLAB_WORKSPACE", "~/w")


def told_by(environment: dict[str, str]) -> dict[str, str]:
    """What a real Python says that it was told."""
    code = "import json, os, tempfile; print(json.dumps({**os.environ, 'tmp': tempfile.gettempdir()}))"
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return dict(json.loads(said.stdout))


@pytest.mark.usefixtures("secrets")
def test_b38_a_worker_has_folders_of_its_own_and_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    told = told_by(supervisor.worker_environment(folder))
    assert "swordfish" not in json.dumps(told) and "PATH" in told
    own = folder / environment.SCRATCH
    assert {told[name] for name in ("HOME", "TMPDIR", "tmp")} == {str(own)}
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert told["TORCH_HOME"] == str(tmp_path / "caches" / "torch"), "where the server reads weights from"
    assert told["REPLAB_WORKSPACE"] == str(tmp_path / "w"), "a ~ still means the operator's home"


@pytest.mark.usefixtures("secrets")
def test_b38_only_what_downloads_is_told_of_proxies(tmp_path: Path) -> None:
    assert "HTTPS_PROXY" not in environment.child_environment(tmp_path)
    assert environment.child_environment(tmp_path, network=True)["HTTPS_PROXY"] == SECRETS["HTTPS_PROXY"]


STARTERS = {  # where processes are started -> what says what they are told
    "engine/child.py": "child_environment(",
    "engine/runs/supervisor.py": "worker_environment(",
    "pages/components/estimate.py": "child_environment(",
    "engine/models/weights.py": "environment",  # a few names, and nothing of ours
    "engine/data/vector_files.py": "environment",  # likewise
    "engine/runs/executors.py": "",  # the runner, which says what its worker is told
    "engine/classroom.py": "",  # the graphics cards' own tool
    "engine/runs/watch.py": "",  # Windows' own tool that ends processes
}


def test_b38_every_process_is_started_so() -> None:
    started = ("subprocess.Popen", "subprocess.run", "subprocess.check_output", "os.system", "os.popen")
    for top in ("engine", "pages"):
        for path in (PROJECT_ROOT / top).rglob("*.py"):
            name = path.relative_to(PROJECT_ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or ast.unparse(node.func) not in started:
                    continue
                assert name in STARTERS, f"{name} starts a process: say here what it is told"
                told = "".join(ast.unparse(word.value) for word in node.keywords if word.arg == "env")
                if ast.unparse(node.args[0]).startswith("['taskkill'"):
                    continue
                assert STARTERS[name] in told and "os.environ" not in told, f"{name}: {told}"


def test_b38_a_real_worker_leaves_no_scratch_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import os, pathlib, sys, tempfile; folder = pathlib.Path(sys.argv[1]);"
        "tempfile.mkstemp(); (pathlib.Path.home() / '.cache').mkdir();"
        "(folder / 'told').write_text(os.environ['TMPDIR'])"
    )
    monkeypatch.setenv("MY_API_TOKEN", "swordfish")
    lab_run = workspace / "runs" / "abc"
    lab_run.mkdir(parents=True)
    (lab_run / layout.RECIPE).write_text("{}")
    layout.write_status(lab_run, state=layout.QUEUED, created=1.0, submitted=1.0)
    options = supervisor.Options(command=(sys.executable, "-c", code))
    assert supervisor.supervise(lab_run, 1, options) == 0
    assert (lab_run / "told").read_text() == str(lab_run / environment.SCRATCH)
    assert not (lab_run / environment.SCRATCH).exists()


def test_b38_a_child_clears_its_own_scratch_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    environment.drop_own_scratch()
    assert tmp_path.is_dir(), "no scratch folder of ours"
    scratch = environment.scratch_folder(tmp_path)
    monkeypatch.setenv("TMPDIR", str(scratch))
    environment.drop_own_scratch()
    assert scratch.is_dir(), "a folder of this name that is somebody else's"
    monkeypatch.setenv(environment.OWN_SCRATCH, str(scratch))
    environment.drop_own_scratch()
    assert tmp_path.is_dir() and list(tmp_path.iterdir()) == []


# 39: versions

LOCKED = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s\\]+)", re.MULTILINE)


def lock() -> dict[str, tuple[str, int]]:
    """Package -> (version, how many files it may come as)."""
    text = (PROJECT_ROOT / "requirements.lock").read_text()
    found, name = {}, ""
    for line in text.splitlines():
        if match := LOCKED.match(line):
            name = match[1]
            found[name] = (match[2].strip(), 0)
        elif line.strip().startswith("--hash=sha256:"):
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line.strip())
            found[name] = (found[name][0], found[name][1] + 1)
    return found


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_b39_what_the_app_needs_is_locked_with_hashes() -> None:
    locked = lock()
    assert len(locked) > 60 and all(hashes for _, hashes in locked.values())
    files = [path for path in PROJECT_ROOT.glob("requirements*.txt") if "dev" not in path.name]
    texts = [path.read_text().lower() for path in files]
    pinned = dict(LOCKED.findall("\n".join(texts)))
    assert len(pinned) > 15
    for name, wanted in pinned.items():
        assert locked[plain_name(name)][0] == wanted, f"{name}: make lock"


def test_b39_the_lock_leaves_nothing_out() -> None:
    """Whatever an installed package asks for is in the lock: with hashes, pip takes nothing else."""
    from packaging.requirements import Requirement

    server_like = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    locked = lock()
    for name in locked:
        try:
            wanted = requires(distribution(name).metadata["Name"]) or []
        except PackageNotFoundError:  # of graphics cards, say: not on this machine
            continue
        for text in wanted:
            one = Requirement(text)
            if one.marker is None or one.marker.evaluate(
                {**server_like, "python_version": "3.11", "extra": ""}
            ):
                assert plain_name(one.name) in locked, f"{one.name}, which {name} needs: make lock"


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ((3, 11, 7), "older than 3.11.14"),
        ((3, 12, 11), "older than 3.12.12"),
        ((3, 13, 0), "older than 3.13.6"),
        ((3, 10, 18), "too old"),
        ((3, 11, 14), ""),
        ((3, 14, 0), ""),
        ((3, 15, 1), ""),
    ],
)
def test_b39_an_old_python_is_named(python: tuple[int, ...], words: str) -> None:
    said = [line for line in versions.outdated(python) if line.startswith("Python")]
    assert len(said) == bool(words) and all(words in line for line in said)


@pytest.mark.parametrize(
    ("package", "installed", "old"),
    [
        *(("torch", "2.9.1+cu130", True), ("torch", "2.10.0", False), ("torch", "2.14.1+cpu", False)),
        *(("streamlit", "1.53.9", True), ("streamlit", "1.54", False), ("pillow", "12.2.0", True)),
        *(("pillow", "13.0.0", False), ("starlette", "1.0.1", True), ("starlette", "1.10.0", False)),
    ],
)
def test_b39_an_old_library_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, installed: str, old: bool
) -> None:
    real = versions.version
    monkeypatch.setattr(versions, "version", lambda name: installed if name == package else real(name))
    said = [line for line in versions.outdated((3, 14, 4)) if line.startswith(package)]
    assert len(said) == old and all(installed in line for line in said)


def test_b39_what_is_pinned_is_new_enough() -> None:
    pinned = dict(LOCKED.findall((PROJECT_ROOT / "requirements.txt").read_text().lower()))
    for package, (least, _) in versions.LEAST.items():
        assert versions.numbers(pinned[package]) >= least


def test_b39_the_operator_is_told_at_the_start(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(startup, "outdated", lambda: ["Python 3.11.7 is older."])
    monkeypatch.setattr(startup, "check_mode", lambda *told: None)
    monkeypatch.setattr(startup, "take_workspace", lambda here: None)
    startup.check()
    assert "Python 3.11.7 is older." in caplog.text


# 21: nobody asks the network


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []

    def refuse(*told: object, **more: object) -> None:
        found.append(told)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return found


OPENED = {
    "transfer_learning": "classification",
    "autoencoders": "autoencoder",
    "self_supervised": "simclr",
    "latent_maps": "drawn map",
    "compare": "comparison",
    "try_it": "classification",
    "runs": "classification",
    "data": "",
    "home": "",
}


@pytest.mark.parametrize("page", OPENED)
def test_b21_no_page_asks_the_network(page: str, lab: Everything, asked: list[object]) -> None:
    query = {"data": lab.dataset.id, **({"run": lab.runs[OPENED[page]]} if OPENED[page] else {})}
    open_page(page, **query)
    open_page(page, data=lab.dataset.id)  # and what it shows before there is a run
    assert asked == []


def test_b21_the_test_hears_who_asks(asked: list[object]) -> None:
    import urllib.request

    with pytest.raises(OSError):
        urllib.request.urlopen("http://127.0.0.1:9/")
    assert asked


# 40: what is deleted is gone; last, for it deletes what the others look at

KEEP_PICTURES = {"autoencoder", "simclr"}  # runs that keep small pictures, as the page says before it deletes


def decoded(dataset: Dataset) -> set[bytes]:
    """Each image's pixels, as any array of bytes would hold them."""
    return {np.asarray(dataset.image(i)).tobytes() for i in range(len(dataset))}


def holders(workspace: Path, traces: set[bytes], pictures: set[bytes]) -> set[Path]:
    """Files that hold bytes of an image, or its pixels: as they are, or in a member of a zip or an .npz."""
    found = set()
    for path in workspace.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if any(trace in data for trace in traces | pictures) or _inside(data, pictures):
                found.add(path)
    return found


def _inside(data: bytes, pictures: set[bytes]) -> bool:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in map(archive.read, archive.namelist()):
            if any(picture in member for picture in pictures) or _inside(member, pictures):
                return True
    return False


def test_b40_a_deleted_set_is_gone_with_all_that_was_made_of_it(
    lab: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.data.pixels import pixels
    from engine.evaluation.encoding import encode
    from engine.removal import keeps_pictures, remove_data
    from pages.components import data_menu

    monkeypatch.setattr(making, "start_detached", make_here)
    for side in (16, 32):
        pixels(lab.dataset, side)
    encode("random:cnn-small", lab.dataset, 32)
    making.start(lab.runs["classification"], "report")
    making.start(lab.runs["classification"], "features")
    traces = {lab.dataset.raw_bytes(i)[40:140] for i in range(len(lab.dataset))}
    pictures = decoded(lab.dataset)
    caches = {path.parent.name for path in holders(lab.workspace, traces, pictures)}
    assert {lab.dataset.id, "pixels"} <= caches and list((lab.workspace / "cache").rglob("*.npy"))
    runs = RunStore().list()
    told = data_menu._what_stays(runs)
    assert "2 of them keep small pictures" in told and "names" in told
    assert {run.id for run in runs if keeps_pictures(run)} == {lab.runs[kind] for kind in KEEP_PICTURES}

    remove_data(lab.dataset.id)

    left = holders(lab.workspace, traces, pictures)
    kept = {lab.runs[kind] for kind in KEEP_PICTURES}
    assert {path.relative_to(lab.workspace / "runs").parts[0] for path in left} <= kept, left
    assert not (lab.workspace / "datasets" / lab.dataset.id).exists()
    assert list((lab.workspace / "cache").rglob("*.npy")) == [], "features"
    assert list((lab.workspace / "cache").rglob(making.MADE)) == [], "files to take home"
    assert {run.id for run in RunStore().list()} == {run.id for run in runs}
    client = TestClient(Starlette(routes=server.routes()))
    for address in ("images/0.jpg", f"sprites.jpg?images=0&v={lab.dataset.fingerprint}", "download.zip"):
        assert client.get(f"/lab/datasets/{lab.dataset.id}/{address}").status_code == 404

    for kind in KEEP_PICTURES:
        remove_run(lab.runs[kind])
    assert holders(lab.workspace, traces, pictures) == set()


def test_b40_features_of_equal_sets_stay_with_the_other(workspace: Path) -> None:
    from engine.evaluation.encoding import encode
    from engine.removal import remove_data
    from tests.pages.made import make_dataset

    one, other = make_dataset(), make_dataset()
    assert one.fingerprint == other.fingerprint
    encode("random:cnn-small", one, 32)
    remove_data(one.id)
    assert len(list((workspace / "cache").rglob("*.npy"))) == 1
    remove_data(other.id)
    assert list((workspace / "cache").rglob("*.npy")) == []
