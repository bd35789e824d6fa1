"""Alignment of local tangent planes, as LTSA and Hessian eigenmaps do it.

Z. Zhang & H. Zha 2004, Principal Manifolds and Nonlinear Dimensionality Reduction via Tangent Space
Alignment, SIAM Journal on Scientific Computing 26; D. Donoho & C. Grimes 2003, Hessian eigenmaps,
PNAS 100. A neighbourhood holds its own point, as in the papers. Where it does not, as in scikit-learn, a
point that is nobody's neighbour is bound to nothing, and the map shrinks to a few spots.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CHUNK_CELLS = 2**21  # entries of local matrices held at a time


def tangent_alignment(x: np.ndarray, index: np.ndarray, dimensions: int) -> Any:
    """Σ over neighbourhoods of I - G Gᵀ, G an orthonormal basis of the constant and the tangent coordinates.

    A layout y has yᵀ M y = 0 where it is, in every neighbourhood, an affine image of the tangent plane.

    Args:
        x: (n, d) points.
        index: (n, k) rows of each point's neighbours; with itself, more than `dimensions` + 1.
        dimensions: Of the tangent planes.

    Returns:
        (n, n) sparse, symmetric, positive semi-definite.
    """

    def local(tangent: np.ndarray) -> np.ndarray:
        k = tangent.shape[1]
        basis = np.concatenate([np.full((*tangent.shape[:2], 1), k**-0.5), tangent], axis=2)
        rest: np.ndarray = np.eye(k) - basis @ basis.transpose(0, 2, 1)
        return rest

    return _aligned(x, index, dimensions, local)


def hessian_alignment(x: np.ndarray, index: np.ndarray, dimensions: int) -> Any:
    """Σ over neighbourhoods of H Hᵀ, H the part of the squares of tangent coordinates that no plane explains.

    A layout y has yᵀ M y = 0 where it has no curvature along the points.

    Args:
        x: (n, d) points.
        index: (n, k) as above; with itself, at least 1 + D + D (D + 1) / 2 for D dimensions.
        dimensions: D.

    Returns:
        (n, n) sparse, symmetric, positive semi-definite.
    """
    one, other = np.triu_indices(dimensions)

    def local(tangent: np.ndarray) -> np.ndarray:
        constant = np.ones((*tangent.shape[:2], 1))
        terms = np.concatenate([constant, tangent, tangent[..., one] * tangent[..., other]], axis=2)
        curved = np.linalg.qr(terms)[0][..., 1 + dimensions :]
        product: np.ndarray = curved @ curved.transpose(0, 2, 1)
        return product

    return _aligned(x, index, dimensions, local)


def _aligned(x: np.ndarray, index: np.ndarray, dimensions: int, local: Any) -> Any:
    """The sum of every neighbourhood's matrix, each put at the rows and columns of its points."""
    from scipy.sparse import coo_array, csr_array

    n = len(x)
    members = np.column_stack([np.arange(n), index])  # (n, k + 1)
    k = members.shape[1]
    total = csr_array((n, n))
    size = max(1, CHUNK_CELLS // (k * max(k, x.shape[1])))
    for start in range(0, n, size):
        part = members[start : start + size]
        around = x[part].astype(np.float64)
        around -= around.mean(1, keepdims=True)
        products = around @ around.transpose(0, 2, 1)
        tangent = np.linalg.eigh(products)[1][..., ::-1][..., :dimensions]  # unit columns, of mean 0
        rows, columns = np.broadcast_to(part[:, :, None], (len(part), k, k)), np.repeat(part, k, 0)
        entries = (local(tangent).ravel(), (rows.ravel(), columns.ravel()))
        total = total + coo_array(entries, shape=(n, n)).tocsr()
    return total.tocsc()
