"""Eigenvectors that maps are made of: the leading ones of distances, the last ones of a sparse matrix.

W. S. Torgerson 1952, Multidimensional scaling: I. Theory and method, Psychometrika 17.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DENSE = 500  # rows up to which a full decomposition is as quick
DENSE_MOST = 2000  # rows up to which it is bearable
SHIFT = 1e-12  # keeps the factorised matrix regular without moving an eigenvector
SAME_AS_NONE = 1e-9  # of the largest eigenvalue: an axis below it is rounding


def signs(axes: np.ndarray) -> np.ndarray:
    """(k,) of 1 and -1 that make the largest entry of every axis positive.

    An eigenvector's sign is arbitrary; fixed this way, a map does not flip from one computer to another.

    Args:
        axes: (n, k), one axis a column.
    """
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    return np.where(largest < 0, -1.0, 1.0)


def classical_axes(squared: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenpairs of -½ J D² J, where J takes the mean out: classical scaling.

    Args:
        squared: (m, m) squared distances, symmetric; not changed.
        count: How many.
        seed: Of the vector the iteration starts from.

    Returns:
        (count,) eigenvalues, largest first, none below 0, and (m, count) unit vectors with fixed signs.
    """
    if len(squared) <= max(DENSE, count + 1):
        values, vectors = _dense_axes(squared, count)
    else:
        values, vectors = _iterated_axes(squared, count, seed)
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order].astype(np.float64)
    return np.where(values > SAME_AS_NONE * values[0], values, 0.0), vectors * signs(vectors)


def _dense_axes(squared: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    m = len(squared)
    means = squared.mean(0, dtype=np.float64)
    kernel = -(squared - means - means[:, None] + means.mean()) / 2
    found: tuple[np.ndarray, np.ndarray] = eigh(kernel, subset_by_index=(m - count, m - 1))
    return found


def _iterated_axes(squared: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lanczos with J applied to the vectors, so that no second matrix of that size is held."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    m, kind = len(squared), squared.dtype
    random = np.random.default_rng(seed)

    def product(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel().astype(kind)
        result = squared @ (vector - vector.mean(dtype=np.float64).astype(kind))
        return (result - result.mean(dtype=np.float64).astype(kind)) / -2

    operator = LinearOperator((m, m), matvec=product, dtype=kind)
    start = random.uniform(-1, 1, m).astype(kind)
    found: tuple[np.ndarray, np.ndarray] = eigsh(operator, count, which="LA", v0=start, rng=random)
    return found


def last_axes(matrix: Any, count: int, seed: int, null: np.ndarray) -> np.ndarray:
    """Eigenvectors of the smallest eigenvalues of a sparse matrix, beside a null vector that is known.

    Shift and invert with one symmetric factorisation: the matrix is positive semi-definite, so no row has to
    be exchanged, and an ordering for symmetric matrices keeps the factors sparse.

    Args:
        matrix: (n, n) sparse, symmetric, positive semi-definite.
        count: How many, beside the known one.
        seed: Of the vector the iteration starts from.
        null: (n,) vector that the matrix sends to 0; what is returned is orthogonal to it, even where more
            vectors share the eigenvalue 0 and any turn of them would do.

    Returns:
        (n, count) unit vectors with fixed signs, smallest eigenvalue first.

    Raises:
        RuntimeError: The matrix cannot be factorised, or the iteration does not settle.
    """
    values, vectors = _last_pairs(matrix, count + 1, seed)
    inside = (null / np.linalg.norm(null)) @ vectors  # what the known vector is in terms of those found
    turn = np.linalg.qr(np.column_stack([inside, np.eye(count + 1)]))[0][:, 1:]
    _, within = np.linalg.eigh(turn.T @ (values[:, None] * turn))
    axes = vectors @ (turn @ within)
    axes /= np.linalg.norm(axes, axis=0)
    return axes * signs(axes)


def next_axes(matrix: Any, count: int, seed: int, first: np.ndarray) -> np.ndarray:
    """Eigenvectors of the largest eigenvalues of a sparse matrix after its first, which is 1 and known.

    Nothing is factorised: on 20,000 points in 10 dimensions it takes a thirtieth of the time of `last_axes`.

    Args:
        matrix: (n, n) sparse, symmetric, no eigenvalue above 1 in size; n above `count`.
        count: How many.
        seed: Of the vector the iteration starts from.
        first: (n,) eigenvector of the eigenvalue 1.

    Returns:
        (n, count) unit vectors with fixed signs, largest eigenvalue first.

    Raises:
        RuntimeError: The iteration does not settle, as on a long chain of points.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    n, first = len(first), first / np.linalg.norm(first)
    random = np.random.default_rng(seed)

    def product(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel()
        return matrix @ vector - 2 * first * (first @ vector)

    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    start = random.uniform(-1, 1, n)
    values, vectors = eigsh(
        operator, count, which="LA", v0=start, ncv=min(n, 40), tol=1e-9, maxiter=100, rng=random
    )
    axes = vectors[:, np.argsort(-values)]
    return axes * signs(axes)


def _last_pairs(matrix: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of few points from the whole matrix; of some, too, where the sparse way fails."""
    from scipy.linalg import eigh

    n = matrix.shape[0]
    if n > max(DENSE, count + 1):
        try:
            return _inverted_axes(matrix, count, seed)
        except RuntimeError:  # a singular factor, or no convergence
            if n > DENSE_MOST:
                raise
    found: tuple[np.ndarray, np.ndarray] = eigh(matrix.toarray(), subset_by_index=(0, count - 1))
    return found


def _inverted_axes(matrix: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import LinearOperator, eigsh, splu

    n = matrix.shape[0]
    random = np.random.default_rng(seed)
    factors = splu(
        (matrix + SHIFT * eye_array(n)).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    inverse = LinearOperator((n, n), matvec=factors.solve, dtype=np.float64)
    start = random.uniform(-1, 1, n)
    found = eigsh(matrix, count, sigma=0.0, OPinv=inverse, v0=start, tol=1e-8, maxiter=300, rng=random)
    order = np.argsort(found[0])
    return found[0][order], found[1][:, order]
