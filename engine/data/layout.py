"""What the folders of a data set mean: splits, classes, or no labels at all."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.data.splits import SPLITS
from engine.errors import UserError

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
IGNORED = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"}
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MAX_PATH = 1000  # characters of a name worth keeping
EXPECTED = "expected train/class/image, class/image, or images alone"
NO_FOLDER = "it lies beside the class folders, not in one"


@dataclass
class Layout:
    """What each image's place says.

    Attributes:
        classes: Alphabetical; empty if there are no labels.
        labels: (n,) index into `classes`, -1 for none.
        splits: (n,) codes of SPLITS, or None where the folders give none.
        left_out: Images that have no place, and why.
        notes: Sentences for the report.
    """

    classes: list[str]
    labels: np.ndarray
    splits: np.ndarray | None
    left_out: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def readable(name: str) -> str:
    """A name as one line of text to store and compare: valid Unicode, composed, forward slashes.

    Characters that break lines, drive terminals or turn the reading direction are spelled out, so that two
    names that differ still do.
    """
    text = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    return UNPRINTABLE.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def is_ignored(name: str) -> bool:
    """Whether a readable name is a hidden file or what an operating system leaves in folders."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return any(part.startswith(".") or part.lower() in IGNORED for part in parts)


def why_unplaceable(name: str) -> str | None:
    """Why a readable name cannot be part of a data set, or None if it can."""
    if len(name) > MAX_PATH:
        return "its name is too long"
    parts = name.split("/")
    if ".." in parts or name.startswith("/") or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        return "its name points outside the archive"
    return None


def understand(names: Sequence[str], max_classes: int) -> Layout:
    """Read splits and classes from the images' places.

    Args:
        names: n readable names with forward slashes; folders first, image last.
        max_classes: More are refused.

    Raises:
        UserError: The folders contradict one another; the sentence says how.
    """
    folders = [tuple(part for part in name.split("/")[:-1] if part not in ("", ".")) for name in names]
    folders, wrapped = _unwrap(folders)
    tops = {path[0] for path in folders if path}
    if not tops:
        return _unlabelled(len(names), wrapped)
    words = {top for top in tops if _word(top)}
    if words:
        return _with_splits(folders, tops, words, max_classes)
    second = {path[1] for path in folders if len(path) > 1}
    if second and all(len(path) > 1 for path in folders if path) and all(map(_word, second)):
        swapped = [(path[1], path[0], *path[2:]) if path else path for path in folders]
        layout = _with_splits(swapped, second, second, max_classes)
        layout.notes.insert(0, "Each class folder holds its own split folders; they were read as splits.")
        return layout
    return _classes_only(folders, max_classes)


def _word(name: str) -> str | None:
    return SPLIT_WORDS.get(name.strip().casefold())


def _unwrap(folders: list[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], str | None]:
    """Drop outer folders that hold everything; keep the last one if it must be a class."""
    wrapper = None
    while folders and all(folders):
        first = folders[0][0]
        if _word(first) or any(path[0] != first for path in folders):
            break
        if wrapper is not None and all(len(path) == 1 for path in folders):
            break  # data/cats/1.jpg: the wrapper is gone already, so this is the one class
        wrapper = first
        folders = [path[1:] for path in folders]
    return folders, wrapper


def _unlabelled(n: int, wrapper: str | None) -> Layout:
    where = "in one folder" if wrapper else "beside one another"
    note = f"All images lie {where}, so they carry no labels; for labels, make one folder for each class."
    return Layout([], np.full(n, -1, np.int64), None, notes=[note])


def _classes_only(folders: list[tuple[str, ...]], max_classes: int) -> Layout:
    loose = [i for i, path in enumerate(folders) if not path]
    if len(loose) * 2 > len(folders):
        inside = len(folders) - len(loose)
        raise UserError(
            f"{len(loose):,} images lie outside the class folders and only {inside:,} inside: put "
            "every image into the folder of its class, or all of them into one folder without labels."
        )
    classes, labels = _label([path[0] if path else None for path in folders], max_classes)
    layout = Layout(classes, labels, None, dict.fromkeys(loose, NO_FOLDER))
    _note_depth(layout, folders, 1)
    _note_one_class(layout)
    return layout


def _with_splits(folders: list[tuple[str, ...]], tops: set[str], words: set[str], max_classes: int) -> Layout:
    others = sorted(tops - words)
    if others:
        raise UserError(
            f"Split folders ({_some(words)}) lie beside other folders ({_some(others)}): keep only train, "
            "val and test at the top, with the class folders inside each, or only class folders."
        )
    given = {_word(top) for top in tops}
    if "train" not in given:
        raise UserError(
            f"There is a {_some(words)} folder but no train folder: add one, or leave out the split folders "
            "and let the splits be made."
        )
    loose = {i: "it lies beside the split folders, not in one" for i, path in enumerate(folders) if not path}
    codes = np.array([SPLITS.index(_word(path[0]) or "train") if path else 0 for path in folders], np.uint8)
    if all(len(path) < 2 for path in folders):
        note = "The splits hold no class folders, so the images carry no labels."
        return Layout([], np.full(len(folders), -1, np.int64), codes, loose, [note])
    loose |= {i: NO_FOLDER for i, path in enumerate(folders) if len(path) == 1}
    classes, labels = _label([path[1] if len(path) > 1 else None for path in folders], max_classes)
    layout = Layout(classes, labels, codes, loose)
    _check_classes(layout)
    _note_depth(layout, folders, 2)
    _note_one_class(layout)
    return layout


def _label(names: list[str | None], max_classes: int) -> tuple[list[str], np.ndarray]:
    classes = sorted({name for name in names if name is not None})
    if len(classes) > max_classes:
        raise UserError(
            f"There are {len(classes):,} class folders and the limit is {max_classes:,}: is every image in a "
            f"folder of its own? {EXPECTED.capitalize()}."
        )
    place = {name: code for code, name in enumerate(classes)}
    return classes, np.array([-1 if name is None else place[name] for name in names], np.int64)


def _check_classes(layout: Layout) -> None:
    """Every class must be in train; one that is missing elsewhere is only reported."""
    assert layout.splits is not None
    present = {
        split: {
            layout.classes[code] for code in np.unique(layout.labels[layout.splits == number]) if code >= 0
        }
        for number, split in enumerate(SPLITS)
    }
    if not present["train"]:
        raise UserError(
            "The train folder holds no class folders with images: put one folder per class into it."
        )
    for split in ("val", "test"):
        extra = sorted(present[split] - present["train"])
        if extra:
            raise UserError(
                f"Class {_some(extra)} is in {split} but not in train, so it cannot be learned: use the same "
                "class folders in every split."
            )
        missing = sorted(present["train"] - present[split])
        if present[split] and missing:
            layout.notes.append(f"Class {_some(missing)} has no images in {split}.")


def _note_depth(layout: Layout, folders: list[tuple[str, ...]], depth: int) -> None:
    deeper = sum(len(path) > depth for path in folders)
    if deeper:
        layout.notes.append(f"{deeper:,} images lie deeper; they count for the class folder they are in.")


def _note_one_class(layout: Layout) -> None:
    if len(layout.classes) == 1:
        layout.notes.append("There is only one class, so a classifier has nothing to tell apart.")


def _some(names: Sequence[str] | set[str], most: int = 3) -> str:
    """A few names, shortened, for a sentence."""
    shown = [name if len(name) <= 30 else name[:29] + "…" for name in sorted(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def reasons(left_out: dict[int, str]) -> Counter[str]:
    """How often each reason occurs."""
    return Counter(left_out.values())
