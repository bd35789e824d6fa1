"""How busy the class's machine is, and the button that frees its graphics card."""

from __future__ import annotations

import streamlit as st

from engine import classroom
from engine.classroom import Load
from pages.components.store import attempt
from pages.components.text import count_text, md, size_text

ALSO = "class.free.waiting"  # whether those in the queue are stopped too


def machine() -> None:
    """Figures side by side."""
    load = classroom.load()
    with st.container(horizontal=True, gap="small", key="class-machine"):
        for title, value, tip in figures(load):
            st.metric(title, value, help=tip, border=True, width=168)


def free_button() -> None:
    """The button that stops what is running, once it has asked again."""
    if st.button(
        "Stop what is running and free the GPU",
        icon=":material/memory:",
        key="class.free",
        help="For a lesson, or when the machine is stuck. Finished epochs are kept; each run can be resumed.",
    ):
        confirm_free()


def figures(load: Load) -> list[tuple[str, str, str]]:
    """(title, value, help) of each figure that this machine tells."""
    found = [
        (
            "Runs at once",
            f"{load.slots_taken} of {load.slots}",
            "Places for runs that are taken. The setting REPLAB_SLOTS says how many there are.",
        ),
        (
            "Waiting",
            str(load.waiting),
            "Runs in the queue. People take turns, so nobody's list holds up all.",
        ),
    ]
    if load.memory_free is not None:
        of = f" of {size_text(load.memory_total)}" if load.memory_total else ""
        found.append(
            ("Memory free", size_text(load.memory_free), f"Main memory{of} that programs can still have.")
        )
    for number, gpu in enumerate(load.gpus, start=1):
        title = "GPU memory free" + (f" ({number})" if len(load.gpus) > 1 else "")
        found.append(
            (title, size_text(gpu.total - gpu.used), f"Of {size_text(gpu.total)} on the {md(gpu.name, 60)}.")
        )
    if load.disk_free is not None:
        tip = "On the disk of the workspace. Below the reserve, uploads and new runs are refused."
        found.append(("Disk free", size_text(load.disk_free), tip))
    return found


@st.dialog("Stop what is running?")
def confirm_free() -> None:
    """Ask once more, then stop the runs and free the GPU."""
    load = classroom.load()
    st.write(
        f"{count_text(load.slots_taken, 'run')} will be asked to stop, and the networks that pages keep "
        "ready are let go of. It takes seconds, and finished epochs are kept."
    )
    if load.waiting:
        tip = "Otherwise the next of them starts at once and takes the GPU again."
        st.checkbox(
            f"Also stop the {count_text(load.waiting, 'run')} in the queue",
            value=True,
            key=ALSO,
            help=tip,
        )
    with st.container(horizontal=True):
        if st.button(
            "Stop and free", type="primary", icon=":material/stop_circle:", key="class.free.sure",
            on_click=attempt, args=(_free,),
        ):  # fmt: skip
            st.rerun()
        if st.button("Leave it", key="class.free.not"):
            st.rerun()


def _free() -> None:
    count = classroom.free_gpu(waiting=bool(st.session_state.get(ALSO)))
    st.toast(
        f"{count_text(count, 'run')} asked to stop; the GPU is freed as they end.", icon=":material/memory:"
    )
