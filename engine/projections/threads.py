"""How many threads linear algebra may use: one where its steps are small, which a second one slows down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, BLAS and OpenMP use one thread; beside a training job two took up to 60 times longer."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:  # it comes with scikit-learn
        yield
        return
    with threadpool_limits(1):
        yield
