"""The same learners in PyTorch, as one would write them there; needs `pip install torch`.

Two forms of SNAIL: `per_query` builds a sequence of S + 1 records for each query and encodes all of
its records, as the public ports do (their softmax over the wrong axis corrected); `once` encodes
each record of the episode a single time and builds the sequences of embeddings.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


def _same(kernel: int, stride: int) -> int:
    return (kernel - 1) // 2 if stride == 1 else kernel // 2


class Convolutional(nn.Module):
    """`metaecg.networks.Convolutional`: records [N, leads, samples] to [N, features]."""

    def __init__(self, leads: int, filters=(32, 64, 96, 128), kernels=(7, 5, 5, 3), features=128):
        super().__init__()
        sizes = (leads, *filters)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, k, 2 if i == 0 else 1, _same(k, 2 if i == 0 else 1), bias=False)
            for i, (a, b, k) in enumerate(zip(sizes, sizes[1:], kernels))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(f) for f in filters)
        self.dense = nn.Linear(2 * filters[-1], features)

    def forward(self, x):
        for layer, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            x = F.relu(norm(convolution(x)))
            if layer < len(self.norms) - 1:
                x = F.max_pool1d(x, 2)
        return self.dense(torch.cat([x.mean(-1), x.amax(-1)], dim=-1))


class Residual(nn.Module):
    """`metaecg.networks.Residual`."""

    def __init__(self, leads: int, filters=(64, 96, 128, 256), features=384, dropout=0.1):
        super().__init__()
        sizes = list(zip((leads, *filters), filters))
        self.shortcuts = nn.ModuleList(nn.Conv1d(a, b, 1, bias=False) for a, b in sizes)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, 3, padding=1, bias=False) for a, b in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(f) for f in filters)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(filters[-1], features)

    def forward(self, x):
        for shortcut, convolution, norm in zip(self.shortcuts, self.convolutions, self.norms):
            x = F.max_pool1d(self.dropout(F.relu(norm(convolution(x)))) + shortcut(x), 2)
        x = self.dropout(F.relu(F.avg_pool1d(x, min(6, x.shape[-1]))))
        return self.dense(x.transpose(1, 2)).mean(1)


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"small": Convolutional, "residual": Residual}


class Attention(nn.Module):
    """Causal soft attention over [N, T, D], its read-out appended."""

    def __init__(self, size: int, key_size: int, value_size: int):
        super().__init__()
        self.query, self.key = nn.Linear(size, key_size), nn.Linear(size, key_size)
        self.value = nn.Linear(size, value_size)

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(1, 2) / math.sqrt(self.query.out_features)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        return torch.cat([x, weights @ self.value(x)], dim=-1)


class Temporal(nn.Module):
    """Dense blocks of gated causal convolutions, dilations 1, 2, 4 …"""

    def __init__(self, size: int, length: int, filters: int):
        super().__init__()
        layers = max(1, math.ceil(math.log2(length)))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size + n * filters, 2 * filters, 2, dilation=2**n) for n in range(layers)
        )

    def forward(self, x):
        x = x.transpose(1, 2)
        for convolution in self.convolutions:
            padded = F.pad(x, (convolution.dilation[0], 0))
            candidate, gate = convolution(padded).chunk(2, dim=1)
            x = torch.cat([x, candidate.tanh() * gate.sigmoid()], dim=1)
        return x.transpose(1, 2)


class Snail(nn.Module):
    """`metaecg.networks.Snail` on an encoder; `per_query` and `once` are its two forms."""

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        way: int,
        length: int,
        attention=((64, 32), (256, 128), (512, 256)),
        filters: int = 128,
    ):
        super().__init__()
        self.encoder, self.features, self.way = encoder, features, way
        layers, size = [], features + way
        for number, (key_size, value_size) in enumerate(attention):
            if number:
                layers.append(Temporal(size, length, filters))
                size += len(layers[-1].convolutions) * filters
            layers.append(Attention(size, key_size, value_size))
            size += value_size
        self.stack = nn.Sequential(*layers, nn.Linear(size, way))

    def _logits(self, context, labels, query):
        """Logits [N, W] of the last position: context [N, S, D], labels [N, S, W], query [N, D]."""
        records = torch.cat([context, query[:, None]], dim=1)
        records = F.layer_norm(records, (self.features,))
        return self.stack(torch.cat([records, F.pad(labels, (0, 0, 0, 1))], dim=-1))[:, -1]

    def per_query(self, support, labels, query):
        """Support [B, S, leads, samples], labels [B, S, W], query [B, Q, …] to [B, Q, W]."""
        (episodes, queries), shots = query.shape[:2], support.shape[1]
        repeated = support[:, None].expand(-1, queries, *support.shape[1:])
        sequences = torch.cat([repeated, query[:, :, None]], dim=2)
        embedded = self.encoder(sequences.flatten(0, 2)).unflatten(0, (-1, shots + 1))
        labels = labels[:, None].expand(-1, queries, -1, -1).flatten(0, 1)
        logits = self._logits(embedded[:, :-1], labels, embedded[:, -1])
        return logits.unflatten(0, (episodes, queries))

    def once(self, support, labels, query):
        """As `per_query`, each record encoded a single time."""
        (episodes, queries), shots = query.shape[:2], support.shape[1]
        embedded = self.encoder(torch.cat([support, query], dim=1).flatten(0, 1))
        context, query = embedded.unflatten(0, (episodes, -1)).split([shots, queries], dim=1)
        context = context[:, None].expand(-1, queries, -1, -1).flatten(0, 1)
        labels = labels[:, None].expand(-1, queries, -1, -1).flatten(0, 1)
        return self._logits(context, labels, query.flatten(0, 1)).unflatten(0, (episodes, queries))


class ProtoNet(nn.Module):
    """Nearest mean of a class by squared Euclidean distance."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def once(self, support, labels, query):
        """As `Snail.once`."""
        episodes, shots = support.shape[:2]
        embedded = self.encoder(torch.cat([support, query], dim=1).flatten(0, 1))
        context, query = embedded.unflatten(0, (episodes, -1)).split([shots, query.shape[1]], dim=1)
        means = labels.transpose(1, 2) @ context / labels.sum(1)[..., None]
        return -((query[:, :, None] - means[:, None]) ** 2).sum(-1)


class Maml(nn.Module):
    """Second-order MAML, episode after episode as in learn2learn; the norms' averages are fixed."""

    def __init__(self, encoder: nn.Module, features: int, *, way: int, rate=0.05, steps=5):
        super().__init__()
        self.body = nn.Sequential(encoder, nn.ReLU(), nn.Linear(features, way))
        self.rate, self.steps = rate, steps

    def once(self, support, labels, query):
        """As `Snail.once`."""
        self.body.eval()
        return torch.stack([self._one(*episode) for episode in zip(support, labels, query)])

    def _one(self, support, labels, query):
        adapted = dict(self.body.named_parameters())
        for _ in range(self.steps):
            logits = torch.func.functional_call(self.body, adapted, (support,))
            loss = F.cross_entropy(logits, labels.argmax(-1))
            gradients = torch.autograd.grad(loss, list(adapted.values()), create_graph=True)
            adapted = {n: p - self.rate * g for (n, p), g in zip(adapted.items(), gradients)}
        return torch.func.functional_call(self.body, adapted, (query,))


def parameters(model: nn.Module) -> int:
    """How many there are."""
    return sum(p.numel() for p in model.parameters())


def step(model: nn.Module, forward: Callable, batch: tuple) -> Callable[[], float]:
    """A training step: forward, backward, Adam; `batch` as `Snail.once` takes it, and targets."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    *inputs, targets = (torch.as_tensor(x) for x in batch)

    def run() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(*inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return run
