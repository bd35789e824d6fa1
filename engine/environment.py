"""What a process that this program starts is told: what it needs to compute, folders of its own, no secret.

HOME and TMPDIR are a folder that goes with the work, so that no two runs, and no run and its operator, read
each other's leavings. TORCH_HOME stays the server's: pretrained weights are read from there and checked by
their hash, and only the page's Download button writes there.
"""

from __future__ import annotations

import os
import shutil
import site
from pathlib import Path

from engine.settings import settings

SCRATCH = "scratch"  # the folder of its own, within that of the work
OWN_SCRATCH = "REPLAB_OWN_SCRATCH"  # names it: a TMPDIR of that name may be anybody's
NAMES = frozenset(
    "PATH LANG LANGUAGE TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH LD_PRELOAD VIRTUAL_ENV ATEN_CPU_CAPABILITY "
    "SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT NUMBER_OF_PROCESSORS PROCESSOR_ARCHITECTURE".split()
)
PREFIXES = (
    *("LC_", "REPLAB_", "PYTHON", "TORCH", "PYTORCH_", "MALLOC_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "NUMBA_"),
    *("CUDA_", "NVIDIA_", "CUBLAS_", "CUDNN_", "NCCL_", "HIP_", "HSA_", "ROCR_", "MIOPEN_"),
)
NETWORK = frozenset("HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR".split())
SECRET = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "API_KEY", "PRIVATE_KEY")


def child_environment(folder: Path, network: bool = False) -> dict[str, str]:
    """The environment of a process that works in `folder`; makes its scratch folder there.

    Args:
        folder: Of the work.
        network: It downloads, so it is told of proxies and certificates too, which may hold a password.

    Raises:
        UserError: A REPLAB_* variable holds a value that cannot be used.
    """
    here = settings()
    scratch = str(scratch_folder(folder))
    own = ("TMPDIR", "TEMP", "TMP", "HOME", "USERPROFILE")
    return {
        **{name: text for name, text in os.environ.items() if _may_know(name.upper(), network)},
        **dict.fromkeys(own, scratch),
        OWN_SCRATCH: scratch,
        # packages that were installed for the user only lie below the other HOME
        "PYTHONUSERBASE": os.environ.get("PYTHONUSERBASE") or site.getuserbase(),
        "TORCH_HOME": str(torch_home()),
        "REPLAB_WORKSPACE": str(here.workspace),  # a ~ in it means another folder once HOME is another
        "CUDA_CACHE_PATH": os.environ.get("CUDA_CACHE_PATH") or str(here.cache / "cuda"),
    }


def _may_know(name: str, network: bool) -> bool:
    if network and name in NETWORK:
        return True
    return (name in NAMES or name.startswith(PREFIXES)) and not any(word in name for word in SECRET)


def scratch_folder(folder: Path) -> Path:
    """The scratch folder of a work's folder, empty."""
    drop_scratch(folder)
    path = folder / SCRATCH
    path.mkdir(mode=0o700)
    return path


def drop_scratch(folder: Path) -> None:
    """Remove what the work has left in its scratch folder."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def drop_own_scratch() -> None:
    """The same, for the process itself at its end; nothing where it has no such folder."""
    own = os.environ.get(OWN_SCRATCH)
    if own and own == os.environ.get("TMPDIR") and Path(own).name == SCRATCH:
        drop_scratch(Path(own).parent)


def torch_home() -> Path:
    """Where torch keeps what it downloads: $TORCH_HOME, or torch below $XDG_CACHE_HOME or ~/.cache."""
    home = os.environ.get("TORCH_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "torch")
    home = os.path.expanduser(home)
    if home.startswith("~"):  # the system knows no home of this user
        return settings().cache / "torch"
    return Path(home).absolute()
