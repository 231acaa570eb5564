"""The network of SSCD (Pizzi et al. 2022): a ResNet-50, pooled by a generalised mean, and a linear head.

Written out here, so that its weights are tensors; published beside them is TorchScript, a program that may do anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

DIMENSIONS = 512
# The power of the mean, and the least value that is raised to it
POWER, LEAST = 3.0, 1e-6
# What the published names of the tensors begin with
_PREFIX = "backbone."


class GeneralisedMean(nn.Module):
    """Over all places of an image: (B, C, H, W), not negative, to (B, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=LEAST).pow(POWER).mean(dim=(2, 3), keepdim=True).pow(1 / POWER)


class SSCD(nn.Module):
    """Images as ImageNet's networks see them, (B, 3, H, W), to descriptors of unit length, (B, 512)."""

    def __init__(self) -> None:
        from torchvision.models import resnet50  # here, as it takes seconds, and all spaces come this way

        super().__init__()
        self.backbone = resnet50(num_classes=DIMENSIONS)
        self.backbone.avgpool = GeneralisedMean()

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.backbone(x))


def sscd_network(tensors: Mapping[str, Tensor]) -> SSCD:
    """The network with these weights.

    Args:
        tensors: by the names of torchvision's ResNet-50, with or without the ``backbone.`` of the published file.

    Raises:
        RuntimeError: these are not the tensors of this network.
    """
    network = SSCD()
    network.backbone.load_state_dict({name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()})
    return network.eval()
