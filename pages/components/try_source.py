"""Where a picture to try comes from: the held-out images of a set, a file, or the camera."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from pages.components.choose import candidates, pick
from pages.components.text import one_line

TYPES = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "ppm"]
WAYS = {"held": "Held out", "file": "Upload", "camera": "Camera"}
SPLITS = {"test": "test", "val": "validation", "train": "training"}
EVERY = "every class"


@dataclass(frozen=True)
class Picture:
    """A picture as it was given.

    Attributes:
        name: Of the file; data, never a path.
        data: Its bytes.
        dataset: Id of the set that it is from; empty for any other.
        place: Its place there.
        truth: Its class there, as plain text; empty where nobody knows.
    """

    name: str
    data: bytes
    dataset: str = ""
    place: int = -1
    truth: str = ""

    @property
    def digest(self) -> str:
        """The same for the same bytes."""
        return hashlib.sha256(self.data).hexdigest()[:24]


def choose_picture(key: str, dataset: Dataset | None) -> Picture | None:
    """Draw the sources and give the picture; None while there is none.

    Args:
        key: Beginning of the controls' keys.
        dataset: Whose held-out images are offered; None offers only pictures from outside.
    """
    ways = list(WAYS) if dataset is not None else ["file", "camera"]
    way = st.segmented_control(
        "Picture",
        ways,
        format_func=lambda way: WAYS[way],
        default=ways[0],
        required=True,
        key=f"{key}.way.{len(ways)}",
        width="stretch",
    )
    if way == "held" and dataset is not None:
        return _held_out(key, dataset)
    if way == "camera":
        shot = st.camera_input("Take a picture", key=f"{key}.camera")
        if shot is not None:
            return Picture("camera", shot.getvalue())
        st.caption(
            "If the browser has refused the camera, allow it beside the page's address, or upload a file."
        )
        return None
    file = st.file_uploader(
        "A picture", type=TYPES, key=f"{key}.file", help="It stays on this machine and is not kept."
    )
    return None if file is None else Picture(one_line(file.name, 120), file.getvalue())


def _held_out(key: str, dataset: Dataset) -> Picture | None:
    """One image of a strip; another draw shows others."""
    split = next((name for name in SPLITS if len(dataset.indices(name))), "train")
    index = dataset.indices(split)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        classes = [EVERY, *dataset.classes]
        chosen = st.selectbox(
            "Class",
            range(len(classes)),
            format_func=lambda number: one_line(classes[number], 60),
            key=f"{key}.class.{dataset.id}",
            width="stretch",
        )
        if st.button("Others", icon=":material/casino:", key=f"{key}.others", help="Draw other images."):
            st.session_state[f"{key}.seed"] = secrets.randbelow(10_000)
    seed = int(st.session_state.get(f"{key}.seed", 0))
    row = candidates(dataset, index, None if chosen == 0 else int(chosen) - 1, seed)
    title = f"{len(row)} of {len(index):,} {SPLITS[split]} images, seed {seed}"
    place = pick(title, dataset, row, f"{key}.pick.{dataset.id}")
    if place is None:
        return None
    label = int(dataset.labels[place])
    truth = dataset.classes[label] if label >= 0 else ""
    return Picture(one_line(dataset.names[place], 120), dataset.raw_bytes(place), dataset.id, place, truth)


def stored_picture(picture: Picture, image_size: int) -> np.ndarray:
    """(S, S, 3) uint8 of a picture, as the images of a data set are kept for reading at `image_size`.

    Raises:
        UserError: It cannot be used; one sentence says why.
    """
    from engine.data.augment import stored_size
    from engine.evaluation.trial import read_picture

    try:
        return read_picture(picture.data, stored_size(image_size))
    except UserError as error:
        raise UserError(f"This picture cannot be used: {error}.") from None
