"""A small classifier of the study's own images, whose features need no download."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base.errors import UserError
from ..base.sealed import Damaged, sealed_digest
from ..base.tensors import load_tensors, save_tensors
from ..data.images import ImageSet, Split, read_images, to_network
from ..data.randomness import generator

FEATURES = 64
# Passes through the training images, of which a large set needs fewer
EPOCHS = 12
MOST_STEPS = 2000
BATCH_SIZE = 64
LEARNING_RATE = 2e-3


class Classifier(nn.Module):
    """Three convolutions, average pooling and one hidden layer, whose activations are the features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, stride=2)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1, stride=2)
        self.hidden = nn.Linear(64 * 4, FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Images on [-1, 1], (B, C, H, W), to features, (B, 64)."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu(conv(x))
        return F.relu(self.hidden(F.adaptive_avg_pool2d(x, 2).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        return self.head(self.features(x))


def train_classifier(images: Path, output: Path) -> None:
    """Train on the whole split ``train`` and save the weights; says the accuracy on split ``test``.

    Raises:
        UserError: as of `fit`, and of `images.read_images`.
    """
    data = read_images(images)
    network = fit(data)
    accuracy = evaluate(network, data.test)
    print(f"classifier: accuracy {accuracy:.3f} on {len(data.test)} held-out images", file=sys.stderr)
    save_tensors(output, network.state_dict(), {"classes": str(data.classes), "data_hash": data.data_hash})


def fit(data: ImageSet) -> Classifier:
    """A classifier trained with Adam and a learning rate that falls to zero along a cosine.

    Raises:
        UserError: all training images are of one class, so that there is nothing to learn.
    """
    if len(np.unique(data.train.labels)) < 2:
        raise UserError(
            "metrics.spaces: found classifier, and all training images are of one class, which leaves a classifier "
            "nothing to tell apart; accepted are pixels, inception, sscd and dinov2"
        )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Classifier(data.shape[2], data.classes)
    images, labels = to_network(data.train.images), torch.from_numpy(data.train.labels)
    batches = -(-len(images) // BATCH_SIZE)
    epochs = max(1, min(EPOCHS, MOST_STEPS // batches))
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    for epoch in range(epochs):
        for index in torch.randperm(len(images), generator=generator("classifier", epoch)).split(BATCH_SIZE):
            loss = F.cross_entropy(network(images[index]), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def evaluate(network: Classifier, split: Split) -> float:
    """Share of a split's images that are classified correctly."""
    parts = to_network(split.images).split(1000)  # all at once would take gigabytes of 10,000 images of 32x32
    predicted = torch.cat([network(part).argmax(dim=1) for part in parts]).numpy()
    return float((predicted == split.labels).mean())


def read_classifier(path: Path, data_hash: str | None = None) -> Classifier:
    """Read what `train_classifier` saved.

    Args:
        path: the file.
        data_hash: of the images that it must have been trained on; any, where there is none.

    Raises:
        UserError: the file is missing or damaged, or the classifier is one of other images.
    """
    with _advice(path):
        weights, metadata = load_tensors(path)
        network = Classifier(weights["conv1.weight"].shape[1], int(metadata["classes"]))
        network.load_state_dict(weights)
        if data_hash not in (None, metadata["data_hash"]):
            raise Damaged(f"trained on images with content hash {metadata['data_hash']}, not {data_hash}")
    return network.eval()


def classifier_version(path: Path) -> str:
    """What decides the features of a classifier: the content of its file; errors as of `read_classifier`."""
    with _advice(path):
        return sealed_digest(path)[:16]


@contextmanager
def _advice(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file as a sentence that says what to do."""
    try:
        yield
    except (Damaged, OSError, KeyError, ValueError, RuntimeError) as error:
        said = str(error).removeprefix(f"{path}: ") if isinstance(error, Damaged) else type(error).__name__
        raise UserError(f"{path}: not a classifier ({said}); delete it to train it again") from None
