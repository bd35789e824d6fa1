"""Work that takes longer than a page may wait: done once in a thread of the server, asked for by key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from engine.access import as_me
from engine.errors import UserError
from engine.logs import fault

MAX_KEPT = 64
FAILED = "This could not be worked out; the server's log has the details under {}."
_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
_known: OrderedDict[object, Future[Any]] = OrderedDict()
_guard = threading.Lock()


def ask(key: object, work: Callable[[], Any], patience: float = 0.2) -> tuple[bool, Any]:
    """Whether `work` is done, and what it returned; starts it at the first question for `key`.

    Args:
        key: Names the question, with all that its answer depends on.
        work: Called in a thread, once; it must not use st.
        patience: Seconds to wait for an answer before saying "not yet".

    Raises:
        UserError: `work` failed; the next question starts it anew.
    """
    with _guard:
        future = _known.get(key)
        if future is None:
            future = _known[key] = _pool.submit(as_me(work))
            while len(_known) > MAX_KEPT:
                _known.popitem(last=False)[1].cancel()
        _known.move_to_end(key)
    try:
        return True, future.result(timeout=patience)
    except TimeoutError:
        return False, None
    except UserError:
        forget(key)
        raise
    except Exception as error:
        forget(key)
        raise UserError(FAILED.format(fault("background work", error))) from None


def forget(key: object) -> None:
    with _guard:
        _known.pop(key, None)
