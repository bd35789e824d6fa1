"""Splits that are made: a share of every class, by seed and pixels alone; and those given, kept."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.intake import add_dataset, check_fractions
from engine.data.splits import stratified
from engine.errors import UserError


def digests(n: int, first: int = 0) -> list[bytes]:
    return [(first + i).to_bytes(16, "big") for i in range(n)]


def classes_of(*sizes: int) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def chosen(labels: np.ndarray, fraction: float, seed: int = 0) -> set[int]:
    return set(stratified(labels, digests(len(labels)), fraction, seed).tolist())


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def added(folder: Path, counts: dict[str, int], **options: float) -> Dataset:
    """A data set of a zip with so many images in each folder, every picture its own."""
    path, number = folder / "set.zip", 0
    with zipfile.ZipFile(path, "w") as archive:
        for place, count in counts.items():
            for i in range(count):
                archive.writestr(f"{place}/{i:03d}.png", picture(number))
                number += 1
    return add_dataset(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.5, 0.8])
def test_each_class_gives_its_share(fraction: float) -> None:
    sizes = (40, 400, 20, 7)
    labels = classes_of(*sizes)
    taken = np.bincount(labels[sorted(chosen(labels, fraction))], minlength=4)
    assert all(abs(count - size * fraction) <= 0.5 for count, size in zip(taken, sizes, strict=True))


@pytest.mark.parametrize("fraction", [1e-9, 0.01, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("size", [2, 3, 5, 100])
def test_a_class_of_two_or_more_is_on_both_sides_at_every_fraction(size: int, fraction: float) -> None:
    labels = classes_of(size, size, size)
    taken = np.bincount(labels[sorted(chosen(labels, fraction))], minlength=3)
    assert ((taken >= 1) & (taken < size)).all()


@pytest.mark.parametrize("fraction", [0.0, -1.0])
def test_no_fraction_chooses_nothing(fraction: float) -> None:
    assert chosen(classes_of(10, 10), fraction) == set()


def test_nothing_to_choose_from_chooses_nothing() -> None:
    assert chosen(np.empty(0, np.int64), 0.5) == set()
    assert stratified(classes_of(4), digests(4), 0.5, 0, np.empty(0, np.int64)).tolist() == []


def test_the_only_image_of_a_class_is_never_chosen() -> None:
    labels = classes_of(1, 10, 1)
    assert not {0, 11} & chosen(labels, 0.9)


def test_unlabelled_images_are_shared_out_as_one_class() -> None:
    assert len(chosen(np.full(50, -1), 0.2)) == 10


def test_one_seed_is_one_choice_and_another_is_another() -> None:
    labels = classes_of(50, 50)
    assert chosen(labels, 0.2, 5) == chosen(labels, 0.2, 5)
    overlaps = [len(chosen(labels, 0.5, 0) & chosen(labels, 0.5, seed)) for seed in range(1, 21)]
    assert 20 < np.mean(overlaps) < 30, "half of one half is in another half: the choices are independent"


def test_the_choice_is_known() -> None:
    """It hangs on no machine, Python or random number library, so it may never change."""
    assert sorted(chosen(classes_of(6, 6), 0.34, 7)) == [3, 5, 7, 8]


def test_the_order_of_the_images_does_not_matter() -> None:
    labels, marks = classes_of(30, 20, 10), digests(60)
    one = {marks[i] for i in stratified(labels, marks, 0.3, 1)}
    turn = np.random.default_rng(0).permutation(60)
    shuffled = [marks[i] for i in turn]
    assert {shuffled[i] for i in stratified(labels[turn], shuffled, 0.3, 1)} == one


def test_a_larger_fraction_keeps_what_a_smaller_one_chose() -> None:
    labels = classes_of(50, 31)
    assert chosen(labels, 0.1, 3) < chosen(labels, 0.3, 3) < chosen(labels, 0.6, 3)


def test_other_classes_do_not_change_what_is_chosen_of_one() -> None:
    alone = stratified(classes_of(20), digests(20), 0.3, 2)
    among_others = stratified(classes_of(20, 30), digests(20) + digests(30, 100), 0.3, 2)
    assert among_others[among_others < 20].tolist() == alone.tolist()


def test_only_what_is_left_is_chosen_from() -> None:
    labels, left = classes_of(20, 20), np.arange(0, 40, 2)
    found = stratified(labels, digests(40), 0.5, 0, left)
    assert set(found) <= set(left) and np.bincount(labels[found]).tolist() == [5, 5]


@pytest.mark.parametrize("seed", range(10))
def test_copies_of_a_picture_stay_on_one_side(seed: int) -> None:
    marks = [digests(40)[i // 4] for i in range(40)]  # ten pictures, four copies each
    found = set(stratified(np.zeros(40, np.int64), marks, 0.33, seed).tolist())
    assert all(len(found & set(range(k, k + 4))) in (0, 4) for k in range(0, 40, 4))
    assert len(found) == 12


def test_a_picture_with_many_copies_does_not_fill_validation() -> None:
    """A third of a class is one blank picture: the cut moves to its nearer end, half its copies at most."""
    marks = digests(1) * 33 + digests(67, 100)
    found = [len(stratified(np.zeros(100, np.int64), marks, 0.2, seed)) for seed in range(60)]
    assert len(set(found)) > 5 and max(abs(count - 20) for count in found) <= 17


def test_a_class_of_copies_alone_is_still_on_both_sides() -> None:
    assert len(stratified(np.zeros(10, np.int64), digests(1) * 10, 0.2, 0)) == 2


@pytest.mark.parametrize(
    ("val", "test"), [(-0.01, 0.0), (0.91, 0.0), (0.0, 1.0), (0.5, 0.5), (float("nan"), 0.0), (0.2, -0.1)]
)
def test_shares_that_leave_nothing_are_one_sentence(
    workspace: Path, tmp_path: Path, val: float, test: float
) -> None:
    with pytest.raises(UserError, match="0.9") as refused:
        added(tmp_path, {"a": 3, "b": 3}, val_fraction=val, test_fraction=test)
    assert len(str(refused.value)) <= 300 and not list(workspace.rglob("*.bin"))


def test_every_pair_of_whole_percents_up_to_the_limit_is_allowed() -> None:
    for percent in range(91):
        check_fractions(percent / 100, (90 - percent) / 100)


def test_validation_and_test_are_shares_of_the_whole_and_are_told(workspace: Path, tmp_path: Path) -> None:
    dataset = added(tmp_path, {"a": 100, "b": 50}, val_fraction=0.2, test_fraction=0.1, seed=9)
    assert dataset.counts() == {
        "train": {"a": 70, "b": 35},
        "val": {"a": 20, "b": 10},
        "test": {"a": 10, "b": 5},
    }
    assert all(word in dataset.split_note for word in ("20% validation", "10% test", "seed 9"))
    assert dataset.info["seed"] == 9


def test_small_classes_are_in_train_first_then_in_validation(workspace: Path, tmp_path: Path) -> None:
    dataset = added(tmp_path, {"many": 20, "one": 1, "two": 2}, val_fraction=0.2)
    assert dataset.counts()["train"] == {"many": 16, "one": 1, "two": 1}
    assert dataset.counts()["val"] == {"many": 4, "one": 0, "two": 1}
    assert "1 class has a single image, which is in train." in dataset.report["notes"]


def test_a_set_of_single_images_is_all_train_and_says_so(workspace: Path, tmp_path: Path) -> None:
    dataset = added(tmp_path, {"a": 1, "b": 1})
    assert dataset.counts() == {"train": {"a": 1, "b": 1}}
    told = " ".join(dataset.report["notes"])
    assert "No class has two images" in told and "2 classes have a single image" in told


def test_no_validation_asked_for_is_not_blamed_on_the_images(workspace: Path, tmp_path: Path) -> None:
    dataset = added(tmp_path, {"a": 5, "b": 5}, val_fraction=0.0)
    assert dataset.counts() == {"train": {"a": 5, "b": 5}}
    told = " ".join(dataset.report["notes"])
    assert "nothing can be measured" in told and "two images" not in told


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "validation", "TESTING")])
def test_given_splits_are_kept_whatever_is_asked(
    workspace: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    train, val, test = words
    counts = {f"{train}/a": 4, f"{train}/b": 3, f"{val}/a": 1, f"{val}/b": 2, f"{test}/a": 2, f"{test}/b": 1}
    dataset = added(tmp_path, counts, val_fraction=0.5, test_fraction=0.4, seed=3)
    assert dataset.counts() == {
        "train": {"a": 4, "b": 3},
        "val": {"a": 1, "b": 2},
        "test": {"a": 2, "b": 1},
    }
    assert dataset.split_note == "The splits are those of the folders."


def test_a_given_test_split_is_never_drawn_from(workspace: Path, tmp_path: Path) -> None:
    dataset = added(tmp_path, {"train/a": 10, "train/b": 10, "test/a": 5, "test/b": 5}, val_fraction=0.2)
    assert dataset.counts() == {
        "train": {"a": 8, "b": 8},
        "val": {"a": 2, "b": 2},
        "test": {"a": 5, "b": 5},
    }
    assert all(dataset.names[i].startswith("train/") for i in dataset.indices("val"))
    assert "no validation" in dataset.split_note and "20% of train" in dataset.split_note
