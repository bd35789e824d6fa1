"""Runs that got fresh ids: those of the same zip that name them follow, in recipes and in what they found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evaluation.comparison_result import read_comparison
from engine.export.run_import import import_runs
from engine.export.run_names import renamed
from engine.export.run_zip import write_runs_zip
from engine.files import read_json, write_json
from engine.runs import layout
from engine.runs.reading import read_rows
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from tests.evaluation.comparing import QUICK, compared, comparison_recipe, finished, shapes


def whole(run: str) -> str:
    """The run with all that an encoder's training tells of it."""
    path = RunStore().folder(run) / layout.ENCODER_INFO
    task = {"classes": [], "class_counts": [], "n_train": 80, "image_size": 16}
    write_json(path, {**read_json(path), "provenance": "random", "task": task})
    return run


def family() -> dict[str, str]:
    """A run, one that was built on it, and a comparison that names both and measures a classifier of it."""
    data = shapes()
    first = whole(finished(data))
    split = {"test": (30, 40)}
    built = whole(finished(data, "classification", f"run:{first}", split, mode="everything"))
    comparison, _, _ = compared(comparison_recipe(data, f"run:{first},run:{built}", **QUICK))
    layout.write_status(RunStore().folder(comparison), state=layout.DONE)
    return {"first": first, "built": built, "comparison": comparison}


def text_of(run: str) -> str:
    """All that a run's small files say."""
    folder = RunStore().folder(run)
    found = [path.read_text() for path in sorted(folder.glob("*.json*")) if path.name != layout.NAME]
    return "\n".join(found)


def test_runs_that_name_others_of_the_zip_follow_them(workspace: Path, tmp_path: Path) -> None:
    old = family()
    before = {name: text_of(run) for name, run in old.items()}
    assert old["first"] in before["built"] and old["built"] in before["comparison"]
    write_runs_zip(list(old.values()), tmp_path / "all.zip")
    found = {one.was: one.id for one in import_runs(tmp_path / "all.zip")}
    new = {name: found[run] for name, run in old.items()}
    assert not set(new.values()) & set(old.values()) and len(RunStore().list()) == 6
    store = RunStore()
    for name, run in new.items():
        told = text_of(run)
        assert not [other for other in old.values() if other in told], "nothing names the old ones"
        assert store.get(run).digest == store.recipe(run).digest()
        assert check_recipe(store.recipe(run)) == store.recipe(run)
        assert text_of(old[name]) == before[name], "those that were here stay as they are"
    assert store.recipe(new["built"]).backbone == f"run:{new['first']}"
    assert store.encoder_info(new["built"])["source"] == f"run:{new['first']}"
    theirs, ours = (read_comparison(run) for run in (old["comparison"], new["comparison"]))
    assert theirs and ours
    assert [row.encoder for row in ours.rows[:2]] == [f"run:{new['first']}", f"run:{new['built']}"]
    assert [row.measured for row in ours.rows] == [row.measured for row in theirs.rows] == [True] * 4
    assert [row.title for row in ours.rows] == [row.title for row in theirs.rows]
    assert ours.ceiling and theirs.ceiling
    assert ours.ceiling["run"] == new["built"] and theirs.ceiling["run"] == old["built"]


def test_only_what_is_renamed_is_followed(workspace: Path, tmp_path: Path) -> None:
    old = family()
    write_runs_zip([old["built"], old["comparison"]], tmp_path / "some.zip")
    RunStore().remove(old["comparison"])
    built, comparison = (one.id for one in import_runs(tmp_path / "some.zip"))
    assert built != old["built"] and comparison == old["comparison"]
    assert RunStore().recipe(built).backbone == f"run:{old['first']}", "the first was not in the zip"
    encoders = str(RunStore().recipe(comparison).config["encoders"])
    assert encoders == f"run:{old['first']},run:{built}"


def test_rows_that_cannot_be_read_stay_byte_for_byte(workspace: Path, tmp_path: Path) -> None:
    old = family()
    path = RunStore().folder(old["comparison"]) / layout.METRICS
    odd = b'{"kind": "note", "run:' + old["built"].encode() + b"\n\xff\xfe\n[1]\n" + b"x" * 200_000
    path.write_bytes(path.read_bytes() + odd)
    write_runs_zip(list(old.values()), tmp_path / "all.zip")
    found = {one.was: one.id for one in import_runs(tmp_path / "all.zip")}
    folder = RunStore().folder(found[old["comparison"]])
    assert (folder / layout.METRICS).read_bytes().endswith(odd)
    rows, _, damaged = read_rows(folder)
    assert damaged == 3 and any(row["kind"] == "setup" for row in rows)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("run:a", "run:z"),
        ("random:resnet18,run:a,run:b,pixels", "random:resnet18,run:z,run:b,pixels"),
        ("rerun:a run:ab run:a.b", "rerun:a run:ab run:a.b"),
        ({"run": "a", "name": "a", "a": "a"}, {"run": "z", "name": "a", "a": "a"}),
        (
            [{"deep": [{"run": "a"}, "run:a"]}, 1, None, True],
            [{"deep": [{"run": "z"}, "run:z"]}, 1, None, True],
        ),
        ({"run": ["a"]}, {"run": ["a"]}),
    ],
)
def test_a_name_is_replaced_whole_or_not_at_all(value: object, wanted: object) -> None:
    assert renamed(value, {"a": "z"}) == wanted


def test_a_recipe_that_would_be_too_long_is_refused(workspace: Path) -> None:
    names = ",".join(["run:a"] * 150)
    recipe = make_recipe(
        {"dataset": "x", "method": "comparison", "image_size": 8, "config": {"encoders": names}}
    )
    from engine.export.run_names import follow

    with pytest.raises(Exception, match="encoders"):
        follow(Path("nowhere"), recipe, {"a": "z" * 16})
