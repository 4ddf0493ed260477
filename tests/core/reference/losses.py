"""The methods' terms in plain torch, differentiated by autograd: two outputs -> terms by name, before their weights.

B images, C channels, H x W positions, K classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.networks.base import Outputs

Terms = dict[str, Tensor]


class Distillation(nn.Module):
    """One method, with what it trains beside the student; networks are 16, 32 and 64 channels wide."""

    def __init__(self, method: str, temperature: float) -> None:
        super().__init__()
        self.method, self.temperature = method, temperature
        if method == "fitnets":
            self.regressor = nn.Conv2d(16, 32, 1)
        if method == "factor_transfer":
            self.translator = convolutions(nn.Conv2d, 64, 64, 32, 32)
            self.paraphraser = paraphraser().requires_grad_(False)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, epoch: int) -> Terms:
        match self.method:
            case "dkd":
                return dkd(student.logits, teacher.logits, labels, self.temperature, min((epoch + 1) / 20, 1))
            case "dist":
                return dist(student.logits, teacher.logits, self.temperature)
            case "sp":
                rows, targets = student.layer3.flatten(1), teacher.layer3.flatten(1)
                return {"similarity": functional.mse_loss(unit(rows @ rows.T), unit(targets @ targets.T))}
            case "logit":
                return {"kl": kl(student.logits, teacher.logits, self.temperature)}
            case "fitnets":
                hint = functional.avg_pool2d(self.regressor(student.layer1), 2)
                return {"hint": functional.mse_loss(hint, teacher.layer2)}
            case "attention_transfer":
                return {"attention": attention(student, teacher)}
            case "nst":
                return {"nst": nst(student, teacher)}
            case "factor_transfer":
                factors = self.translator(student.layer3), self.paraphraser[0](teacher.layer3)
                ours, theirs = (unit(factor.flatten(1)) for factor in factors)
                return {"factor": functional.l1_loss(ours, theirs)}
        return rkd(student.layer3.mean((2, 3)), teacher.layer3.mean((2, 3)))


def convolutions(kind: Any, *channels: int) -> nn.Sequential:
    layers = [kind(*pair, 3, padding=1) for pair in pairwise(channels)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(0.1))))


def paraphraser() -> nn.Sequential:
    """Encoder and decoder."""
    return nn.Sequential(convolutions(nn.Conv2d, 64, 64, 32, 32), convolutions(nn.ConvTranspose2d, 32, 32, 64, 64))


def unit(vectors: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    scaled: Tensor = vectors / lengths.clamp(min=1e-12)
    return scaled


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p, log_p = functional.softmax(teacher / temperature, 1), functional.log_softmax(teacher / temperature, 1)
    return temperature**2 * (p * (log_p - functional.log_softmax(student / temperature, 1))).sum(1).mean()


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, share: float) -> Terms:
    """Each image by itself, its label's class cut out."""
    target, others = [], []
    for s, t, y in zip(student / temperature, teacher / temperature, labels.tolist(), strict=True):
        s_others, t_others = (torch.cat([row[:y], row[y + 1 :]]) for row in (s, t))
        s_pair, t_pair = (
            torch.stack([row[y], torch.logsumexp(rest, 0)]) for row, rest in ((s, s_others), (t, t_others))
        )
        target.append(kl(s_pair[None].double(), t_pair[None].double(), 1.0))
        others.append(kl(s_others[None].double(), t_others[None].double(), 1.0))
    scale = share * temperature**2
    return {"target": scale * torch.stack(target).mean(), "others": scale * torch.stack(others).mean()}


def dist(student: Tensor, teacher: Tensor, temperature: float) -> Terms:
    ours, theirs = (functional.softmax(logits.double() / temperature, 1) for logits in (student, teacher))
    return {
        "inter": temperature**2 * (1 - correlations(ours, theirs).mean()),
        "intra": temperature**2 * (1 - correlations(ours.T, theirs.T).mean()),
    }


def correlations(left: Tensor, right: Tensor) -> Tensor:
    left, right = (rows - rows.mean(1, keepdim=True) for rows in (left, right))
    return functional.cosine_similarity(left, right, dim=1, eps=1e-30)


def attention(student: Outputs, teacher: Outputs) -> Tensor:
    maps = [[unit(tap.square().sum(1).flatten(1)) for tap in outputs.features] for outputs in (student, teacher)]
    return torch.stack([(s - t).square().sum(1).mean() for s, t in zip(*maps, strict=True)]).mean()


def nst(student: Outputs, teacher: Outputs) -> Tensor:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("bcn,bdn->bcd", x, y).square().mean()

    pairs = [[unit(tap.flatten(2)) for tap in pair] for pair in zip(student.features, teacher.features, strict=True)]
    return torch.stack([kernel(t, t) + kernel(s, s) - 2 * kernel(s, t) for s, t in pairs]).mean()


def rkd(student: Tensor, teacher: Tensor) -> Terms:
    """Of embeddings (B, C)."""
    return {
        "distance": functional.smooth_l1_loss(relative_distances(student), relative_distances(teacher)),
        "angle": functional.smooth_l1_loss(angles(student), angles(teacher)),
    }


def relative_distances(rows: Tensor) -> Tensor:
    """(B, B)"""
    squares = (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(2)
    distances = torch.where(squares > 0, squares, torch.ones(())).sqrt() * (squares > 0)
    return distances / (distances.sum() / (squares > 0).sum())


def angles(rows: Tensor) -> Tensor:
    """Cosines (B, B, B)."""
    towards = unit(rows.unsqueeze(0) - rows.unsqueeze(1))
    return torch.einsum("jid,jkd->jik", towards, towards)
