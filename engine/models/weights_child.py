"""The only place that opens a stranger's pickle: `python -m engine.models.weights_child SOURCE TARGET ARCH`.

Runs apart from server and worker, with limited memory and time. Prints one JSON object: {"ok": true} after
writing TARGET as safetensors, or {"error": sentence}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UserError

SECONDS = 100
HEADROOM = 512 * 1024**2


def limit(file_bytes: int) -> None:
    """Allow this process little more than the file needs; elsewhere the parent's time limit ends it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        now = pages * resource.getpagesize()
        most = now + HEADROOM + 4 * file_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(source: Path) -> Mapping[str, object]:
    """The tensors of a .pth file by name.

    Raises:
        UserError: It is not a file of plain tensors.
        RuntimeError: This is not the process of its own that such a file is read in.
    """
    if __name__ != "__main__":
        raise RuntimeError("a stranger's pickle is only read in a process of its own")
    import torch

    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception:  # a pickle can raise anything while it is read
        raise UserError(
            "This .pth file holds more than plain weights, or is damaged: save only the state dict, "
            "or use .safetensors."
        ) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise UserError("This .pth file holds no weights by name: save the model's state dict.")
    return state


def main(argv: list[str]) -> int:
    source, target, arch = Path(argv[0]), Path(argv[1]), argv[2]
    import torch  # noqa: F401  (before the limit: the library itself is large)

    from engine.models.trunks import skeleton
    from engine.models.weights import keep_checked

    skeleton(arch)
    limit(source.stat().st_size)
    answer: dict[str, object]
    try:
        keep_checked(read(source), target, arch, source.stat().st_size)
        answer = {"ok": True}
    except UserError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "This weights file needs far more memory than its size: it is damaged or hostile."}
    print(json.dumps(answer), flush=True)
    return 0 if answer.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
