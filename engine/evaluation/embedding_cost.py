"""What an encoder costs on this machine: its parameters, and the time of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.models.network import Encoder
from engine.training import machine

BATCH_PIXELS = 16 * 224 * 224
LARGEST_BATCH = 256


@dataclass(frozen=True)
class EmbeddingCost:
    """What turning images into features costs.

    Attributes:
        parameters: Weights and biases of the encoder, without any head.
        milliseconds: An image, in 32 bits: the median of a few batches.
        batch: Images in such a batch.
        device: The machine in words.
    """

    parameters: int
    milliseconds: float
    batch: int
    device: str


def embedding_cost(encoder: Encoder) -> EmbeddingCost:
    """Count an encoder's parameters and time it on the settings' device."""
    device = machine.choose_device()
    machine.prepare(device)
    encoder = encoder.to(device).to(memory_format=torch.channels_last).eval()
    size = encoder.image_size
    batch = max(1, min(LARGEST_BATCH, BATCH_PIXELS // size**2))
    images = torch.full((batch, 3, size, size), 0.5, device=device).contiguous(
        memory_format=torch.channels_last
    )

    @torch.inference_mode()
    def embed() -> None:
        encoder(images)

    seconds = machine.median_seconds(embed)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return EmbeddingCost(parameters, 1000 * seconds / batch, batch, machine.name(device))
