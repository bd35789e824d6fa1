"""Figures that papers and their code publish for ImageNet, for a panel of their own beside a comparison.

They are of ResNet-50 and 50,000 validation images of ImageNet, so they share no axis with any figure of this
app.
"""

from __future__ import annotations

from dataclasses import dataclass

IMAGES = 50_000  # ImageNet's validation images, which judge all of them
BACKBONE = "ResNet-50"


@dataclass(frozen=True)
class Published:
    """One figure.

    Attributes:
        method: What trained the backbone.
        accuracy: Top-1 accuracy of a linear probe on frozen features, or of the supervised network itself.
        how: What is known of the training.
        source: Where the figure stands.
        address: Of the source.
        supervised: It learned from labels.
    """

    method: str
    accuracy: float
    how: str
    source: str
    address: str
    supervised: bool = False


BYOL = "https://arxiv.org/abs/2006.07733"
PUBLISHED = (
    Published("Supervised", 0.765, "all labels", "Grill et al. 2020, figure 1", BYOL, supervised=True),
    Published("BYOL", 0.743, "1,000 epochs", "Grill et al. 2020", BYOL),
    Published(
        "MoCo v2", 0.711, "800 epochs", "its authors' weights", "https://github.com/facebookresearch/moco"
    ),
    Published(
        "SimCLR",
        0.691,
        "batches of 4,096",
        "its authors' weights",
        "https://github.com/google-research/simclr",
    ),
    Published("MoCo", 0.606, "200 epochs", "He et al. 2020", "https://arxiv.org/abs/1911.05722"),
)
