"""The only place that opens a stranger's Parquet: `python -m engine.data.parquet_child SOURCE TARGET NAME`.

Runs apart from server and worker, with limited memory and time. Prints one JSON object: {"ok": true, "names",
"classes"} after writing TARGET as an .npy file, or {"error": sentence}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.source import short_name
from engine.data.vector_files import CHUNK_BYTES, check_size
from engine.data.writer import check_free, disk_full_as_sentence
from engine.errors import UserError
from engine.models.weights_child import limit

FILE_COLUMNS, CLASS_COLUMNS = ("file", "name"), ("label", "class")  # text, or whole numbers, but no features
PANDAS_INDEX = "__index_level_"  # what pandas calls its row numbers
MOST_LETTERS = 1000  # of a name; one long text in a dictionary would fill the memory once it is repeated
FEW_ROWS = 64


def convert(source: Path, target: Path, name: str) -> dict[str, Any]:
    """Write the columns of numbers as one (n, d) float32 .npy file.

    Args:
        source: The Parquet file.
        target: To write.
        name: What people call the file.

    Returns:
        "names" and "classes": (n,) texts, or None where there is no such column.

    Raises:
        UserError: It is no flat table of numbers.
    """
    import pyarrow.parquet as parquet

    schema = parquet.ParquetFile(source).schema_arrow
    texts, numbers = columns_of(schema, name)
    file = parquet.ParquetFile(
        source,
        read_dictionary=list(texts.values()),
        memory_map=False,
        pre_buffer=False,
    )
    rows = int(file.metadata.num_rows)
    check_size(rows, len(numbers), name)
    check_free(4 * rows * len(numbers))
    with disk_full_as_sentence(), open(target, "xb") as out:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, len(numbers))}
        np.lib.format.write_array_header_2_0(out, shape)
        left = rows
        for batch in _batches(file, numbers):
            left -= batch.num_rows
            if left < 0:
                raise UserError(f"'{name}' holds more rows than it says: write it again.")
            parts = [batch.column(called).to_numpy(zero_copy_only=False) for called in numbers]
            with np.errstate(over="ignore"):
                out.write(np.stack(parts, 1).astype("<f4").tobytes())
    return {
        "names": _text(file, texts.get("file"), name),
        "classes": _text(file, texts.get("class"), name),
    }


def columns_of(schema: Any, name: str) -> tuple[dict[str, str], list[str]]:
    """The columns that name files and classes ("file", "class"), and those of numbers.

    Raises:
        UserError: There is a column of another kind, or two of one name.
    """
    from pyarrow import types

    if len(set(schema.names)) < len(schema.names):
        raise UserError(f"'{name}' has two columns of the same name: give each its own.")
    texts: dict[str, str] = {}
    numbers: list[str] = []
    for field in schema:
        called, whole = field.name.lower(), types.is_integer(field.type)
        if called in FILE_COLUMNS + CLASS_COLUMNS and (whole or _is_text(field.type)):
            texts.setdefault("file" if called in FILE_COLUMNS else "class", field.name)
        elif whole or types.is_floating(field.type):
            if not field.name.startswith(PANDAS_INDEX):
                numbers.append(field.name)
        else:
            kind = "nested values" if types.is_nested(field.type) else "no numbers"
            raise UserError(
                f"Column '{short_name(field.name)}' of '{name}' holds {kind}: give every number a column of "
                "its own, and keep text only in 'file' and 'label'."
            )
    return texts, numbers


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _batches(file: Any, columns: list[str]) -> Iterator[Any]:
    rows = max(FEW_ROWS, CHUNK_BYTES // (8 * len(columns)))
    return iter(file.iter_batches(rows, columns=columns, use_threads=False))


def _text(file: Any, column: str | None, name: str) -> list[str] | None:
    """A column as text, of which no single one is long."""
    import pyarrow
    from pyarrow import compute

    if column is None:
        return None
    found: list[str] = []
    for batch in _batches(file, [column]):
        values = batch.column(0)
        if isinstance(values, pyarrow.DictionaryArray):
            longest = compute.max(compute.binary_length(values.dictionary)).as_py() or 0
            if longest > MOST_LETTERS:
                raise UserError(
                    f"Column '{short_name(column)}' of '{name}' holds a text of {longest:,} letters, and "
                    f"{MOST_LETTERS:,} is the limit: keep names only."
                )
        found += ["" if value is None else str(value) for value in values.to_pylist()]
    return found


def main(argv: list[str]) -> int:
    """Convert one file; gives 0, or 1 after telling why not."""
    import pyarrow
    import pyarrow.parquet  # noqa: F401  (loaded before memory is limited)

    source, target, name = Path(argv[0]), Path(argv[1]), argv[2]
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # the others set aside more than the limit at once
    pyarrow.set_cpu_count(1)
    limit(source.stat().st_size)
    answer: dict[str, Any]
    try:
        answer = {"ok": True, **convert(source, target, name)}
    except UserError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"'{name}' needs far more memory than its size: it is damaged or hostile."}
    except Exception:  # noqa: BLE001  Arrow raises many kinds on damaged bytes
        answer = {"error": f"'{name}' is no Parquet file, or it is damaged: write it again."}
    print(json.dumps(answer), flush=True)
    return 0 if answer.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
