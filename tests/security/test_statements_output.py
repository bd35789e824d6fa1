"""What must hold of all that leaves: tables, names of files, error words and logs, whatever names say."""

from __future__ import annotations

import ast
import csv
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine import access, logs
from engine.cli.main import build_parser, main
from engine.errors import UserError
from engine.export.map_formats import MAP_FORMATS
from engine.export.maps import write_map
from engine.export.run_formats import RUN_FORMATS, refusal
from engine.export.take import write_run
from engine.settings import PROJECT_ROOT
from pages.components import faults, server
from tests.security.everything import EVIL, NAMES, Everything, everything

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
FILE_NAME = re.compile(r'attachment; filename="[A-Za-z0-9._-]{1,120}"')
MEMBER = re.compile(r"[A-Za-z0-9._/-]{1,200}")
SECRET = "/secret/path/of/somebody"
# where rows of a table are written; the tests below look at what each of them writes
WRITERS = {
    "engine/cli/predict.py",
    "engine/export/maps.py",
    "engine/export/tables.py",
    "pages/components/data_report.py",
    "pages/components/try_many.py",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    with everything(tmp_path_factory.mktemp("output")) as found:
        yield found


@pytest.fixture
def client(lab: Everything) -> TestClient:
    return TestClient(
        Starlette(routes=server.routes(), middleware=server.middleware()),
        base_url="http://127.0.0.1:8501",
        raise_server_exceptions=False,
    )


def routes() -> list[Route]:
    """The server's own routes that are asked with GET, but for the last, which answers all that is left."""
    found = [route for route in server.routes() if isinstance(route, Route)]
    return [route for route in found if "GET" in (route.methods or ()) and "{rest" not in route.path]


def addresses(route: Route, lab: Everything) -> Iterator[str]:
    """Addresses of a route for all that it can be asked about; a parameter of a new name is to be added."""
    values: dict[str, list[str]] = {
        "run": list(lab.runs.values()),
        "dataset": [lab.dataset.id],
        "index": ["0"],
        "key": [lab.pack],
        "name": list(RUN_FORMATS) if "/take/" in route.path else list(server.FONTS),
    }
    found = [route.path]
    for name in re.findall(r"\{(\w+)[^}]*\}", route.path):
        found = [re.sub(rf"\{{{name}[^}}]*\}}", value, path) for path in found for value in values[name]]
    for path in found:
        yield path + QUERIES.get(route.path.rsplit("/", 1)[-1], lambda lab: "")(lab)


QUERIES: dict[str, Callable[[Everything], str]] = {
    "sprites.jpg": lambda lab: f"?images=0-5&v={lab.dataset.fingerprint}",
    "walk.png": lambda lab: "?at=0,0",
    "map.bin": lambda lab: "?panels=pca,isomap",
    "spaces.bin": lambda lab: f"?runs={lab.runs['drawn map']}&method=pca",
    "bench": lambda lab: "?pairs=4&n=4",
}


def check_table(text: str, delimiter: str = ",") -> list[list[str]]:
    """No cell would be a formula, and names are there all the same."""
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    for row in rows:
        for cell in row:
            assert cell[:1] not in tuple("=+-@\t\r\n") or NUMBER.fullmatch(cell), cell
    return rows


def check_zip(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            assert MEMBER.fullmatch(name) and ".." not in name and not name.startswith("/"), name
            check_content(name, archive.read(name))


def check_content(name: str, data: bytes) -> None:
    """What a file of this name holds is safe to open where such files are opened."""
    ending = name.rpartition(".")[2].lower()
    if ending == "csv":
        check_table(data.decode())
    elif ending == "tsv":
        check_table(data.decode(), "\t")
    elif ending == "json":
        json.loads(data, parse_constant=lambda word: pytest.fail(f"{name} holds {word}"))
    elif ending in ("html", "svg"):
        text = data.decode()
        scripts = re.findall(r"<script(?![^>]*application/json)[^>]*>(.*?)</script>", text, re.DOTALL)
        outside = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        assert not any(word in part for part in scripts for word in EVIL)
        assert "<img src=x" not in outside and "<svg onload" not in outside and "<a href=//" not in outside
    elif ending == "zip":
        check_zip(data)
    elif ending == "py":
        ast.parse(data)


def test_b31_no_answer_of_any_route_carries_a_formula_or_a_name_of_other_letters(
    lab: Everything, client: TestClient
) -> None:
    answered = set()
    for route in routes():
        for address in addresses(route, lab):
            answer = client.get(address)
            assert answer.status_code in (200, 404), (address, answer.text[:300])
            told = answer.headers.get("content-disposition")
            kind = answer.headers["content-type"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert told is None or FILE_NAME.fullmatch(told), told
            assert told is not None or not kind.startswith(("text/html", "image/svg")), "shown in the page"
            if kind.startswith("application/json"):
                json.loads(answer.content, parse_constant=lambda word: pytest.fail(word))
            if answer.status_code == 200:
                answered.add(route.path)
                if told:
                    check_content(told.rpartition('filename="')[2].rstrip('"'), answer.content)
    assert {route.path for route in routes()} - answered == set(), "a route that was never answered"


def test_b31_names_in_tables_are_there_with_an_apostrophe(lab: Everything, client: TestClient) -> None:
    for run, table in (("classification", "predictions.csv"), ("map", "map.csv")):
        rows = check_table(client.get(f"/lab/runs/{lab.runs[run]}/{table}").text)
        cells = {cell for row in rows for cell in row}
        for name in NAMES:
            assert (f"'{name}" if name[0] in "=+-@" else name) in cells


@pytest.mark.parametrize("name", RUN_FORMATS)
def test_b31_every_file_that_a_run_is_taken_home_as(lab: Everything, tmp_path: Path, name: str) -> None:
    runs = [run for run in lab.runs.values() if refusal(run, name) is None]
    assert runs, "no run can be taken home so"
    for run in runs:
        known = RUN_FORMATS[name].name(run)
        assert re.fullmatch(r"[a-z0-9.-]{1,80}", known)
        if RUN_FORMATS[name].file[1] in (".csv", ".html", ".json", ".py", ".zip"):  # the rest is numbers
            write_run(run, name, tmp_path / known)
            check_content(known, (tmp_path / known).read_bytes())


@pytest.mark.parametrize("ending", MAP_FORMATS)
def test_b31_every_file_that_a_map_is_taken_home_as(lab: Everything, tmp_path: Path, ending: str) -> None:
    write_map(lab.runs["map"], tmp_path / f"map{ending}")
    check_content(f"map{ending}", (tmp_path / f"map{ending}").read_bytes())


def test_b31_tables_of_pages_and_of_the_terminal(lab: Everything, tmp_path: Path) -> None:
    from engine.evaluation.comparison_result import read_comparison
    from engine.evaluation.comparison_table import comparison_csv
    from engine.evaluation.trial import table_head, table_row
    from pages.components.data_report import as_csv

    found = read_comparison(lab.runs["comparison"])
    assert found is not None
    check_table(comparison_csv(found))
    rows = check_table(as_csv([(name, name) for name in NAMES]))
    assert rows[2][0] == f"'{NAMES[1]}"
    heads = table_head(NAMES)
    assert all(head[:1] not in "=+-@" for head in heads)
    line = Line(NAMES[1])
    assert [cell for cell in table_row(line, NAMES) if cell[:1] in tuple("=+@")] == []  # type: ignore[arg-type]


class Line:
    """What `table_row` reads of a picture that was tried."""

    def __init__(self, name: str) -> None:
        self.name = self.predicted = name
        self.nearest, self.distance, self.unlike = 2, 0.5, False
        self.confidence = self.plain = 0.5
        self.shares = np.full(len(NAMES), 0.1)


def test_b31_every_writer_of_tables_is_known_and_streamlits_own_is_off() -> None:
    found = {
        path.relative_to(PROJECT_ROOT).as_posix()
        for top in ("engine", "pages")
        for path in (PROJECT_ROOT / top).rglob("*.py")
        if re.search(r"\bcsv\.writer\(|\.to_csv\(|DictWriter\(", path.read_text())
    }
    assert found == WRITERS
    config = (PROJECT_ROOT / ".streamlit" / "config.toml").read_text()
    assert re.search(r"^disableDataExport = true", config, re.MULTILINE)


# 32: errors nobody foresaw


def boom(*told: Any, **more: Any) -> Any:
    raise RuntimeError(f"{SECRET}/\x1b[31m\nforged line")


def check_words(text: str, lab: Everything) -> None:
    assert not re.search(r"Traceback|RuntimeError|Errno", text), text
    assert SECRET not in text and "forged" not in text, text
    assert str(lab.workspace) not in text and str(PROJECT_ROOT) not in text, text


MARK = re.compile(r"under ([a-z2-9]{8})\b")


def check_mark(text: str, log: str) -> None:
    """The id that is shown is in the log, beside what the reader is not told."""
    found = MARK.search(text)
    assert found and f"fault {found[1]}" in log and SECRET in log, text


def test_b32_no_answer_of_any_route_tells_what_broke(
    lab: Everything, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once everything that a route opens breaks, and once its handler's own first look at the question."""
    caplog.handler.setFormatter(logs.Lines())
    for route in routes():
        address = next(addresses(route, lab))
        with monkeypatch.context() as patch:
            patch.setattr(Request, "query_params", property(boom))
            patch.setattr(Request, "path_params", property(boom))
            for module in {route.endpoint.__module__, "pages.components.run_routes"}:
                for name in ("run_store", "open_dataset", "check_id", "plotly_path"):
                    if name in vars(__import__(module, fromlist=["x"])):
                        patch.setattr(f"{module}.{name}", boom)
            caplog.clear()
            answer = client.get(address)
        assert answer.status_code == 500, (address, answer.status_code)
        assert answer.headers["x-content-type-options"] == "nosniff"
        check_words(answer.text, lab)
        check_mark(answer.json()["error"], caplog.text)


def test_b32_an_upload_that_breaks_tells_nothing(
    lab: Everything, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(logs.Lines())
    monkeypatch.setattr("pages.components.upload_routes.suffix_of", boom)
    answer = client.put("/lab/upload", content=b"x", headers={"X-Replab": "1", "X-File-Name": "a.zip"})
    assert answer.status_code == 500
    check_words(answer.text, lab)
    check_mark(answer.json()["error"], caplog.text)


def commands() -> list[list[str]]:
    """Every command there is, by walking the parser, with something for each word it wants."""
    found: list[list[str]] = []

    def walk(parser: Any, words: list[str]) -> None:
        groups = [action for action in parser._actions if hasattr(action, "choices") and action.dest == "=="]
        subs = [action for action in parser._actions if type(action).__name__ == "_SubParsersAction"]
        assert not groups
        if not subs:
            wanted = [a for a in parser._actions if a.required or not a.option_strings]
            given: list[str] = []
            for action in wanted:
                value = str(next(iter(action.choices))) if action.choices else "x"
                given += [*action.option_strings[:1], value]
            found.append([*words, *given])
        for sub in subs:
            for name, inner in sub.choices.items():
                walk(inner, [*words, name])

    walk(build_parser(), [])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_b32_no_command_tells_what_broke(
    words: list[str], lab: Everything, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = build_parser()
    args = parser.parse_args(words)
    args.run_command = boom
    monkeypatch.setattr("engine.cli.main.build_parser", lambda: Parsed(args))
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and SECRET not in err and "RuntimeError" not in err


class Parsed:
    """A parser that has parsed."""

    def __init__(self, args: Any) -> None:
        self.args = args

    def parse_args(self, words: list[str]) -> Any:
        return self.args


NOT_HERE = {"__init__", "class_page"}  # a package's file, and a page that only teachers of a class have
PAGES = sorted({path.stem for path in (PROJECT_ROOT / "pages").glob("*.py")} - NOT_HERE)


@pytest.mark.parametrize("page", PAGES)
def test_b32_no_page_tells_what_broke(
    page: str, lab: Everything, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(logs.Lines())
    app = AppTest.from_file(PROJECT_ROOT / "pages" / "components" / "shell.py", default_timeout=60).run()
    monkeypatch.setattr("streamlit.delta_generator.DeltaGenerator.title", boom)
    monkeypatch.setattr("streamlit.title", boom)
    app.switch_page(f"../{page}.py").run()
    assert not app.exception and len(app.error) == 1
    check_words(app.error[0].value, lab)
    check_mark(app.error[0].value, caplog.text)


def test_b32_parts_of_pages_and_buttons_tell_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the shell cannot catch goes to the handler that the launcher names."""
    from streamlit.errors import FragmentHandledException

    shown: list[str] = []
    caplog.handler.setFormatter(logs.Lines())
    monkeypatch.setattr(faults.st, "error", lambda text, **more: shown.append(text))
    assert faults.show(UserError("Choose *another* set.")) is True and shown == ["Choose \\*another\\* set."]
    assert faults.show(RuntimeError(SECRET)) is True and SECRET not in shown[1]
    check_mark(shown[1], caplog.text)
    assert faults.show(FragmentHandledException(RuntimeError(SECRET))) is True and len(shown) == 2
    launcher = ast.parse((PROJECT_ROOT / "app.py").read_text())
    told = [ast.unparse(word.value) for word in ast.walk(launcher) if isinstance(word, ast.keyword)]
    assert "faults.show" in told, "the launcher hands errors to us"
    config = (PROJECT_ROOT / ".streamlit" / "config.toml").read_text()
    assert re.search(r'^showErrorDetails = "none"', config, re.MULTILINE)


def test_b32_work_in_the_background_tells_no_more(
    lab: Everything, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.child import ending_of
    from engine.runs import outcome
    from pages.components import background

    caplog.handler.setFormatter(logs.Lines())
    with pytest.raises(UserError) as refused:
        background.ask("b32", boom, patience=10)
    check_words(str(refused.value), lab)
    check_mark(str(refused.value), caplog.text)
    said = str(ending_of(boom, "this import")["error"])
    check_words(said, lab)
    check_mark(said, capsys.readouterr().out)
    _, said = outcome.explain(RuntimeError(SECRET), lab.workspace, "abcdefgh")
    check_words(said, lab)
    assert "under abcdefgh" in said


def test_b32_a_run_that_breaks_tells_no_more(lab: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.runs.executors import InlineExecutor
    from engine.runs.store import RunStore

    store = RunStore()
    run = store.create(store.recipe(lab.runs["classification"]).model_copy(update={"seed": 77})).id
    InlineExecutor(store, boom).submit(run)
    said = str(store.get(run).error)
    check_words(said, lab)
    check_mark(said, store.log_tail(run))
    assert "\nforged" not in store.log_tail(run), "a line break in a message makes no line of its own"
    client, address = TestClient(Starlette(routes=server.routes())), f"/lab/runs/{run}/metrics?log=1"
    assert SECRET in client.get(address).json()["log"], "whose machine it is may read the log"
    with monkeypatch.context() as patch:
        patch.setenv("REPLAB_MODE", "class")
        patch.setattr(access, "_resolver", lambda: access.Person("abc", "Ann", access.STUDENT))
        answer = client.get(address)
        assert answer.status_code == 200 and not answer.json()["has_log"]
        assert SECRET not in answer.text and "RuntimeError" not in answer.text
    store.remove(run)


# 33: logs

STEERING = "a\r\nERROR forged\x1b[2J\x07\u202eb\u2028c\x85d"


def test_b33_a_name_in_a_log_line_stays_on_its_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.Lines("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    log.warning("the set %s was added", STEERING)
    (line,) = stream.getvalue().splitlines()
    assert line == "WARNING the set a\\r\\nERROR forged\\x1b[2J\\x07\\u202eb\\u2028c\\x85d was added"


def test_b33_a_name_in_a_traceback_stays_on_its_line() -> None:
    try:
        try:
            raise ValueError(STEERING)
        except ValueError as error:
            raise KeyError(STEERING) from error
    except KeyError as error:
        told = logs.told(error)
        left = {"msg": "x", "exc_info": (type(error), error, None), "exc_text": STEERING}
        record = logging.makeLogRecord(left)
    assert not any(line.startswith("ERROR") for line in told.splitlines())
    assert all(letter.isprintable() or letter == "\n" for letter in told)
    assert told.count("forged") == 2 and "ValueError: a\\r\\nERROR" in told
    assert "test_statements_output" in told, "where it happened"
    assert "\x1b" not in logs.Lines().format(record), "nor does what another formatter has left"


def test_b33_an_error_that_is_its_own_cause_ends() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert logs.told(error) == "ValueError: x"


def test_b33_a_message_is_no_place_for_a_files_bytes() -> None:
    assert len(logs.escaped("x" * 10**6)) == logs.MOST_LETTERS


def test_b33_the_server_writes_its_log_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(logs, "NAME", "b33-replab")
    other = logging.getLogger("b33-other")
    other.addHandler(logging.StreamHandler())
    logs.set_up("b33-other")
    logs.set_up("b33-other")
    for name in ("b33-replab", "b33-other"):
        (handler,) = logging.getLogger(name).handlers
        assert isinstance(handler.formatter, logs.Lines)
    startup = (PROJECT_ROOT / "pages" / "components" / "startup.py").read_text()
    assert "logs.set_up(" in startup.partition("def check(")[2].partition("\ndef ")[0]


def test_b33_nobody_logs_past_it() -> None:
    """Tracebacks are written by `engine.logs` alone: Python's own leave messages as they are."""
    found = [
        path.relative_to(PROJECT_ROOT).as_posix()
        for top in ("engine", "pages")
        for path in (PROJECT_ROOT / top).rglob("*.py")
        if re.search(r"print_exc\(|format_exc\(|\.exception\(\"", path.read_text())
    ]
    assert found == []
