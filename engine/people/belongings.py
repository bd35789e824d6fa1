"""What a person has in the workspace: asked before their account is removed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Belongings:
    """Ids of what belongs to a person."""

    runs: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.runs, self.datasets, self.vectors, self.weights))

    def __str__(self) -> str:
        kinds = {"run": self.runs, "data set": self.datasets}
        kinds |= {"file of vectors": self.vectors, "file of weights": self.weights}
        return ", ".join(
            f"{len(ids)} {one if len(ids) == 1 else plural(one)}" for one, ids in kinds.items() if ids
        )


def plural(one: str) -> str:
    return one.replace("file", "files") if one.startswith("file") else f"{one}s"


def belongings_of(person_id: str) -> Belongings:
    """Everything that is marked with this person; nothing is marked with nobody."""
    from engine.data.dataset import list_datasets
    from engine.data.vectors import list_vectors
    from engine.models.weights import list_weights
    from engine.runs.store import RunStore

    if not person_id:
        return Belongings()
    return Belongings(
        runs=tuple(one.id for one in RunStore().list() if one.owner == person_id),
        datasets=tuple(one.id for one in list_datasets() if one.ownership.owner == person_id),
        vectors=tuple(one.id for one in list_vectors() if one.owner == person_id),
        weights=tuple(one.id for one in list_weights() if one.owner == person_id),
    )


def remove_belongings(found: Belongings) -> None:
    """Delete them; runs first, for they use the rest.

    Raises:
        UserError: One of the runs is queued or running, or somebody else's run uses a data set.
    """
    from engine import removal
    from engine.data.vectors import remove_vectors
    from engine.models.weights import remove_weights

    for run in found.runs:
        removal.remove_run(run)
    for vectors in found.vectors:
        remove_vectors(vectors)
    for dataset in found.datasets:
        removal.remove_data(dataset)
    for weights in found.weights:
        remove_weights(weights)


def forget_limits(person_id: str) -> None:
    """Delete the limits that a teacher has set for this person."""
    from engine.runs import quotas

    quotas.set_limits(person_id, **dict.fromkeys(quotas.NAMES))
