"""The autoencoder family against what is known of it: sizes, PCA, masks, patches, the divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from engine.errors import UserError
from engine.methods import method_class, parse_config
from engine.methods.inpainting import hole_mask
from engine.methods.masked_autoencoder import random_mask
from engine.methods.method import Task
from engine.methods.variational import kl_to_normal
from engine.models import lab
from engine.models.autoencoders import build_decoder, patchify, unpatchify
from engine.models.codes import CodeArch, parse_code_arch
from engine.models.encoder import build_encoder
from engine.models.trunks import build_trunk
from engine.training.step import Batch


def made(name: str, size: int = 16, gray: bool = False, **settings: Any) -> Any:
    config = parse_config(name, settings)
    kind, task = method_class(name), Task((), (), 10, size, gray)
    torch.manual_seed(0)
    return kind(build_encoder(kind.own_backbone(config, task), size, 0), config, task)


def images(n: int = 4, size: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("hidden", "parameters"), [(128, 237_338), (256, 539_418)])
def test_the_tutorials_network_has_its_size(hidden: int, parameters: int) -> None:
    method = made("autoencoder", 28, True, network="mlp", hidden=hidden, latent_size=10)
    assert sum(p.numel() for part in method.parts().values() for p in part.parameters()) == parameters


@pytest.mark.parametrize("kind", ["mlp", "linear", "conv", "split", "vit"])
@pytest.mark.parametrize(("side", "reads"), [(28, "gray"), (33, "colour"), (50, "colour"), (128, "colour")])
def test_every_encoder_has_the_name_shape_and_size_it_says(kind: str, side: int, reads: str) -> None:
    arch = CodeArch(kind, side, reads, 16, 16 if kind == "vit" else 10)
    assert parse_code_arch(str(arch)) == arch
    trunk = build_trunk(str(arch), side).eval()
    assert trunk(images(3, side)).shape == (3, arch.latent)
    assert sum(p.numel() for p in trunk.parameters()) == arch.parameters
    if kind != "vit":
        assert build_decoder(arch, 3).eval()(torch.zeros(2, arch.latent)).shape == (2, 3, side, side)


def test_a_linear_autoencoder_reaches_pca_and_spans_its_subspace() -> None:
    data = load_digits().images[:500] / 16
    pca = PCA(5).fit(data.reshape(500, -1))
    best = float(
        ((pca.inverse_transform(pca.transform(data.reshape(500, -1))) - data.reshape(500, -1)) ** 2).mean()
    )
    method = made("linear_autoencoder", 8, True, latent_size=5).double()
    batch = torch.from_numpy(data)[:, None].expand(-1, 3, -1, -1)
    options = {"tolerance_grad": 1e-12, "tolerance_change": 1e-16, "history_size": 50}
    optimizer = torch.optim.LBFGS(
        method.parameters(), max_iter=3000, line_search_fn="strong_wolfe", **options
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = ((method.decoder(method.encode(batch)) - batch[:, :1]) ** 2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    reached = float(closure().detach())
    assert best * (1 - 1e-9) <= reached <= best * 1.00001
    ours = np.linalg.qr(method.decoder[0].weight.detach().numpy())[0]
    cosines = np.linalg.svd(ours.T @ pca.components_.T)[1]
    assert cosines.min() > 0.9999


@pytest.mark.parametrize("hole", ["centre", "half", "block"])
def test_in_painting_counts_hidden_pixels_only(hole: str) -> None:
    method = made("inpainting", hole=hole).eval()
    x, index = images(), torch.arange(4)
    _, mask = method.damage(x, method.draws(index))
    logits = method.decoder(method.encode(x)).detach()
    before = method._result(x, mask, logits).loss
    seen = x + 0.3 * (1 - mask) * torch.rand_like(x)
    assert torch.equal(method._result(seen, mask, logits).loss, before)
    assert not torch.isclose(method._result(x * (1 - mask), mask, logits).loss, before)
    assert 0 < float(mask.mean()) < 1


def test_blocks_stay_inside_and_move() -> None:
    mask = hole_mask(torch.zeros(200, 3, 16, 16), "block", 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(mask.flatten(1).sum(1), torch.full((200,), 64.0))
    corners = {tuple(int(v) for v in m[0].nonzero()[0]) for m in mask}
    assert len(corners) > 40 and {row for row, _ in corners} == set(range(9))


def test_masked_patches_are_counted_kept_and_put_back() -> None:
    keep, restore = random_mask(torch.zeros(7, 1), 64, 0.75, torch.Generator().manual_seed(0))
    assert keep.shape == (7, 16) and restore.shape == (7, 64)
    order = restore.argsort(1)
    assert torch.equal(order[:, :16], keep)
    tokens = torch.arange(64).expand(7, -1)
    assert torch.equal(tokens.gather(1, order).gather(1, restore), tokens)
    x = images(2)
    assert torch.equal(unpatchify(patchify(x, 4), 4, 3), x)
    assert torch.equal(patchify(x, 4)[0, 1, :3], x[0, :, 0, 4])


def test_the_divergence_has_its_closed_form() -> None:
    from torch.distributions import Normal, kl_divergence

    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    wanted = kl_divergence(
        Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(5, 3), torch.ones(5, 3))
    )
    assert torch.allclose(kl_to_normal(mean, log_variance), wanted, atol=1e-5)


def test_evaluation_is_the_same_twice_whatever_was_drawn_before() -> None:
    for name in ("denoising_autoencoder", "inpainting", "variational_autoencoder"):
        method, batch = made(name).eval(), Batch((images(),), torch.zeros(4), torch.arange(4))
        first = method.evaluation_step(batch)
        torch.rand(17)
        assert torch.equal(first.loss, method.evaluation_step(batch).loss), name


@pytest.mark.parametrize("name", ["colorization", "split_brain"])
def test_grey_images_have_no_colour_to_learn(name: str) -> None:
    with pytest.raises(UserError, match="are grey"):
        made(name, gray=True)


def test_lab_has_the_known_values_and_comes_back() -> None:
    corners = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]).view(4, 3, 1, 1)
    known = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    assert torch.allclose(lab.rgb_to_lab(corners).flatten(1), torch.tensor(known), atol=0.01)
    assert torch.allclose(lab.lab_to_rgb(lab.rgb_to_lab(images())), images(), atol=1e-4)
    gray = torch.full((1, 3, 2, 2), 0.4)
    assert torch.allclose(lab.colour(gray), torch.full((1, 2, 2, 2), 0.5), atol=1e-4)
