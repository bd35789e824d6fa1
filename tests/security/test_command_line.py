"""Every hostile input ends with the right exit code, in one sentence, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.data.drawn_sets import build_shapes
from engine.runs import executors
from tests.security.hostile import ARCHIVES, CASES, IMAGES, PLANTED, RECIPES, WEIGHTS, Case

MOST_MEMORY = 400 * 1024**2  # growth in bytes, of security's figure
MOST_SECONDS = 20
NOT_FOR_PEOPLE = re.compile(
    r"Traceback|Errno|Error\b|Exception|0x[0-9a-f]{6}|dtype|pydantic|unexpected error"
)


def peak(reset: bool = False) -> int:
    """The most memory this process held since the last reset, in bytes; 0 where Linux's /proc is missing."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its mode and length."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        found[str(path.relative_to(root))] = (info.st_mode, 0 if path.is_dir() else info.st_size)
    return found


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """The tree without its folders and locks, which may be made by looking."""
    return {
        name: told
        for name, told in tree(root).items()
        if not stat.S_ISDIR(told[0]) and "lock" not in name.rsplit("/", 1)[-1]
    }


def check_workspace(workspace: Path) -> None:
    for name, (mode, _) in tree(workspace).items():
        assert re.fullmatch(r"[a-z0-9_.-]{1,64}", name.rsplit("/", 1)[-1]), name
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), name
        assert stat.S_ISDIR(mode) or not mode & 0o7111, f"{name} can be run"
    assert list((workspace / "tmp").glob("*")) == []


@pytest.fixture
def lab(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, beside the workspace; nothing is trained."""
    place = tmp_path / "outside" / "here"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setattr(executors.InlineExecutor, "submit", lambda self, run_id: None)
    return place


def carried_out(case: Case, lab: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str, list[str]]:
    argv = case.make(lab)
    begun, before = time.monotonic(), peak(reset=True)
    try:
        code = main([*argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert time.monotonic() - begun < MOST_SECONDS
    assert peak() - before < MOST_MEMORY
    out, err = capsys.readouterr()
    return code, out, err, argv


def file_of(argv: list[str]) -> str:
    """The file that a refusal has to name: none if an option beside it is at fault."""
    if argv[0] == "train":
        return argv[argv.index("--recipe") + 1] if "--recipe" in argv else ""
    return "" if argv[0] == "data" and len(argv) > 3 else argv[2]


def one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).replace("?", " ")


def check_refusal(err: str, argv: list[str], case: Case, private: list[Path]) -> None:
    said = err.splitlines()[-1]
    assert 20 < len(said) <= 300 and said.isprintable(), said
    assert not NOT_FOR_PEOPLE.search(err) and not any(str(path) in err for path in private), err
    assert case.words in said, said
    shown = one_line(os.path.basename(file_of(argv)))
    assert shown[:20] in one_line(said), said


@pytest.mark.parametrize("name", [name for name in CASES if name not in RECIPES])
def test_b32_a_hostile_file_ends_in_one_sentence_and_leaves_nothing(
    name: str, lab: Path, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    for key, value in case.limits:
        monkeypatch.setenv(f"REPLAB_{key}", value)
    code, out, err, argv = carried_out(case, lab, capsys)
    assert code == case.code, err
    check_workspace(workspace)
    outside = [str(path) for path in lab.parent.parent.rglob("*") if PLANTED in path.name]
    assert outside == [] and not [
        p for p in ("/tmp", "/") for n in os.listdir(p) if n.startswith(f"{PLANTED}.")
    ]
    if code == 0:
        told = json.loads(out)
        assert case.taken is None or told["images"] == case.taken
        return
    assert out == "" and files_of(workspace) == {}
    check_refusal(err, argv, case, [lab, workspace])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one small set, which no refused training may change."""
    workspace = tmp_path_factory.mktemp("lab") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLAB_WORKSPACE", str(workspace))
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        build_shapes("digits-of-mine", "Shapes", 32, "drawn", images={"train": 60, "val": 20, "test": 20})
    return workspace


@pytest.mark.parametrize("name", RECIPES)
def test_b32_a_hostile_recipe_ends_in_one_sentence_and_makes_no_run(
    name: str, lab: Path, drawn: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_WORKSPACE", str(drawn))
    before = files_of(drawn)
    code, out, err, argv = carried_out(RECIPES[name], lab, capsys)
    assert code == 2 and out == "", err
    assert files_of(drawn) == before
    check_refusal(err, argv, RECIPES[name], [lab, drawn])


def test_the_cases_are_many_and_of_every_kind() -> None:
    assert min(len(ARCHIVES), len(IMAGES), len(WEIGHTS), len(RECIPES)) > 25
    assert {case.code for case in CASES.values()} == {0, 2}
