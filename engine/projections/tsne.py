"""t-SNE: a map on which near points stay near, whatever becomes of the far ones.

L. van der Maaten and G. Hinton 2008, Visualizing Data using t-SNE, JMLR 9; optimised and extended to new
points by openTSNE (P. Poličar et al. 2024, Journal of Statistical Software 109), over the neighbours that all
methods share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from engine.fields import setting
from engine.projections.points import Neighbours, Points, nearest_of
from engine.projections.principal import principal_start
from engine.projections.projection import CannotProject, Embedding, Projection, ProjectionConfig, Watch

USUAL_PERPLEXITY = 30.0
EXACT_UP_TO = 20_000  # points up to which all pairs are compared; above, openTSNE approximates
SPREAD = 1e-4  # of the first positions: larger ones would be kept instead of found
JITTER = 0.01  # share of that spread by which copies are told apart
MOMENTUM = 0.8
FRAME_EVERY, LOOK_EVERY = 25, 50  # iterations
STEADY = 1e-3  # nats: a divergence that falls by less between two looks has settled

Objective = Callable[..., tuple[float, np.ndarray]]


class TSNEConfig(ProjectionConfig):
    """Settings of t-SNE."""

    perplexity: float = setting(
        USUAL_PERPLEXITY, "About how many neighbours each point listens to.", ge=2, le=500, step=5
    )
    initialization: Literal["pca", "random", "spectral"] = setting(
        "pca",
        "Where the points begin; PCA and the graph's spectrum keep more of how groups lie to each other.",
        labels={"pca": "PCA", "random": "Random", "spectral": "Spectral"},
        title="Start",
    )
    iterations: int = setting(
        500, "Steps after the early ones; it ends sooner where nothing improves.", ge=50, le=5000
    )
    early_iterations: int = setting(
        250, "First steps, with exaggerated attraction.", ge=0, le=2000, more=True
    )
    early_exaggeration: float = setting(
        12.0,
        "How much stronger points attract each other at first, to find their group.",
        ge=1,
        le=100,
        more=True,
    )
    learning_rate: float = setting(
        0.0,
        "Size of a step; 0 takes the number of points, divided by the exaggeration (Belkina et al. 2019).",
        ge=0,
        le=1e6,
        more=True,
    )


class TSNE(Projection):
    """Positions whose neighbourhoods diverge least from those of the points."""

    Config: ClassVar[type[ProjectionConfig]] = TSNEConfig
    config: TSNEConfig

    def fit(self, points: Points, watch: Watch) -> Embedding:
        watch.check(0)
        perplexity, notes = self._perplexity(len(points))  # before the library would put in its own

        from openTSNE import TSNEEmbedding  # type: ignore[import-untyped]
        from openTSNE.affinity import PerplexityBasedNN  # type: ignore[import-untyped]

        affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=_SharedGraph(points, perplexity))
        watch.check(0.02)
        start, more = self._start(points, affinities.P)
        self.fitted = TSNEEmbedding(start, affinities, negative_gradient_method="bh", random_state=self.seed)
        descent = _Descent(self.objective(len(points)), watch, self.config)
        descent.run(self.fitted, threads=1 if len(points) <= EXACT_UP_TO else -1)
        # `transform` moves the middle of the fitted map to 0: where it lies there already, the map stays
        self.fitted -= (self.fitted.max(0) + self.fitted.min(0)) / 2
        positions = np.array(self.fitted, np.float32)
        if not np.isfinite(positions).all():
            raise CannotProject(
                "The points flew apart: choose a lower learning rate, or 0 for the usual one."
            )
        watch.frame(positions.copy())
        watch.check(1)
        facts = {"kl_divergence": float(self.fitted.kl_divergence), "iterations": float(descent.steps)}
        return Embedding(positions, notes=notes + more, facts=facts)

    def transform(self, x: np.ndarray) -> np.ndarray:
        if not len(x):
            return np.empty((0, self.dimensions), np.float32)
        return np.array(self.fitted.transform(np.ascontiguousarray(x, np.float32)), np.float32)

    def objective(self, n: int) -> Objective:
        """The quickest way to the gradient for n points."""
        from openTSNE.tsne import kl_divergence_bh, kl_divergence_fft  # type: ignore[import-untyped]

        from engine.projections.tsne_forces import exact_gradient

        if n <= EXACT_UP_TO:
            return exact_gradient
        return kl_divergence_fft if self.dimensions == 2 else kl_divergence_bh

    def _perplexity(self, n: int) -> tuple[float, tuple[str, ...]]:
        """What these points allow; the usual perplexity gives way to few points, another one is refused."""
        wanted, most = self.config.perplexity, (n - 1) / 3
        if wanted >= n and wanted != USUAL_PERPLEXITY:
            raise CannotProject(
                f"A perplexity of {wanted:g} needs more than {wanted:g} points, here are {n}: choose at most "
                f"{max(2, int(most))}, or more images."
            )
        if wanted <= most:
            return wanted, ()
        return most, (f"Perplexity {most:.1f} instead of {wanted:g}: {n} points allow no more.",)

    def _start(self, points: Points, affinities: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        """(n, dimensions) first positions, always finite, and a note where they are not those asked for."""
        random = np.random.default_rng(self.seed)
        noise = random.standard_normal((len(points), self.dimensions))
        how = self.config.initialization
        if how == "random":
            return SPREAD * noise, ()
        found = (
            self._spectrum(affinities)
            if how == "spectral"
            else principal_start(points, self.dimensions, self.seed)
        )
        spread = float(found[:, 0].std())
        if not (np.isfinite(found).all() and spread > 0):
            return SPREAD * noise, ("The points begin at random: their graph or axes gave no start.",)
        return SPREAD * (found / spread + JITTER * noise), ()

    def _spectrum(self, affinities: Any) -> np.ndarray:
        from openTSNE.initialization import spectral  # type: ignore[import-untyped]

        try:
            found = spectral(affinities, self.dimensions, random_state=self.seed, add_jitter=False)
        except (RuntimeError, ValueError, ArithmeticError, np.linalg.LinAlgError):  # no eigenvectors found
            return np.full((affinities.shape[0], self.dimensions), np.nan)
        return np.asarray(found, np.float64)


class _SharedGraph:
    """The exact neighbours that all methods share, as openTSNE asks for them."""

    def __init__(self, points: Points, perplexity: float) -> None:
        self.points = points
        self.n_samples = len(points)
        self.k = min(len(points) - 1, int(3 * perplexity + 1e-6))

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        return _pair(self.points.graph(self.k))

    def query(self, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return _pair(nearest_of(self.points.x, x, k))


def _pair(found: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    return found.index, found.distance


class _Descent:
    """Gradient descent that is watched at every step, and ends where the divergence has settled."""

    def __init__(self, objective: Objective, watch: Watch, config: TSNEConfig) -> None:
        self.objective, self.watch, self.config = objective, watch, config
        self.planned = config.early_iterations + config.iterations
        self.done = 0  # gradients computed: the steps, and one at each end for the divergence
        self.steps = self.planned
        self.last = np.inf

    def run(self, embedding: Any, threads: int) -> None:
        """Move the points of a `TSNEEmbedding`.

        Raises:
            Stopped: The watch said so.
        """
        shared = {
            "negative_gradient_method": self.gradient,
            "learning_rate": self.config.learning_rate or "auto",
            "momentum": MOMENTUM,
            "n_jobs": threads,
            "inplace": True,
        }
        early = self.config.early_exaggeration
        embedding.optimize(self.config.early_iterations, exaggeration=early, **shared)
        looks = {"callbacks": self.look, "callbacks_every_iters": LOOK_EVERY}
        embedding.optimize(self.config.iterations, **looks, **shared)

    def gradient(self, embedding: np.ndarray, P: Any, **how: Any) -> tuple[float, np.ndarray]:
        """The objective, with the watch told of it."""
        self.watch.check(0.03 + 0.96 * min(1, self.done / self.planned))
        if self.done and self.done % FRAME_EVERY == 0:
            self.watch.frame(np.array(embedding, np.float32))
        self.done += 1
        return self.objective(embedding, P, **how)

    def look(self, iteration: int, error: float, embedding: np.ndarray) -> bool:
        """Whether the divergence fell by too little since the last look to go on."""
        settled = self.last - error < STEADY
        self.last = error
        if settled:
            self.steps = self.config.early_iterations + iteration
        return settled
