"""Published networks whose features the field compares images in: Inception, SSCD, DINOv2.

Each comes from a file, given in the config or fetched once into torch hub's cache. Such a file is of named tensors, and
is read as nothing else: pickles and TorchScript can hold any program.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from ..base.errors import UserError
from .sscd import sscd_network

# Images in a forward pass: 64 images of 299x299 pixels take some 0.5 GB.
BATCH = 64

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# RGB images on [0, 255], (B, 3, H, W) uint8, to features, (B, d) float32, on the same device.
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """Where a network is published, and how its file becomes a network.

    Attributes:
        url: the weights as their authors or its library publish them.
        sha256: the first digits of the file's hash, where they are published with it.
        read: the network of a file of weights, on a device.
    """

    url: str
    sha256: str
    read: Callable[[Path, torch.device], Network]


def inception(weights: Path, device: torch.device) -> Network:
    """Inception v3 as the FID is defined by: pool3, 2048-d, images resized to 299x299 as TensorFlow 1 does.

    The network and its resizing are torch-fidelity's, whose weights are those of the original FID.
    """
    library = _library("torch_fidelity.feature_extractor_inceptionv3")
    # The library would run whatever a file tells pickle to: it is given one that holds our tensors and nothing else
    with tempfile.NamedTemporaryFile(suffix=".pth") as ours:
        torch.save(_read_tensors(weights), ours.name)
        extractor = library.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], ours.name).to(device)
    return lambda images: extractor(images)[0]


def sscd(weights: Path, device: torch.device) -> Network:
    """SSCD (Pizzi et al. 2022), a descriptor for copy detection: 512-d, of unit length.

    ``sscd_disc_mixup``, the model its authors recommend, in their file of tensors for torchvision's ResNet-50. Images
    are resized as its README has it (``small_288``): the short edge to 288 pixels, bilinear, also from 32x32 images,
    which are thereby enlarged nine times rather than shown at a size the network never saw.
    """
    network = sscd_network(_read_tensors(weights)).to(device)
    return lambda images: network(_normalised(_short_edge(images, 288, "bilinear")))


def dinov2(weights: Path, device: torch.device) -> Network:
    """DINOv2 (Oquab et al. 2023): the class token of a vision transformer, 1024-d for ViT-L/14.

    ViT-L/14 is the network of the FD-DINOv2 of Stein et al. 2023; a file of ViT-S/14 or ViT-B/14
    is recognised too (384-d, 768-d). Images are resized to 224x224, bicubic. The transformer is
    timm's, which interpolates position embeddings with antialiasing.
    """
    library = _library("timm")
    saved = _read_tensors(weights)
    width = saved["pos_embed"].shape[-1]
    size = {384: "small", 768: "base", 1024: "large"}[width]
    network = library.create_model(
        f"vit_{size}_patch14_dinov2",
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": saved},
        img_size=224,
        num_classes=0,
    )
    network = network.eval().to(device)
    return lambda images: network(_normalised(_resized(images, (224, 224), "bicubic")))


_FACEBOOK = "https://dl.fbaipublicfiles.com"

SOURCES: dict[str, Source] = {
    "inception": Source(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        inception,
    ),
    "sscd": Source(f"{_FACEBOOK}/sscd-copy-detection/sscd_disc_mixup.torchvision.pt", "", sscd),
    "dinov2": Source(f"{_FACEBOOK}/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth", "", dinov2),
}


def find_weights(name: str, given: str | None) -> Path:
    """The file of a network's weights: the one given, or the published one, fetched if need be.

    Raises:
        UserError: the given file does not exist, the published one cannot be fetched, or what is
            in the cache is not what was published.
    """
    if given is not None:
        if not Path(given).is_file():
            raise UserError(f"metrics.weights.{name}: found {given}; accepted is a file that exists")
        return Path(given)
    source = SOURCES[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / source.url.rpartition("/")[2]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(source.url, str(path), source.sha256 or None, progress=False)
        except (OSError, RuntimeError) as error:  # no network, no room; not the file that was published
            raise UserError(
                f"the weights of the space {name} could not be fetched from {source.url} "
                f"({' '.join(str(error).split())}); fetch that file elsewhere and put it at {path}, "
                f"or give its path as metrics.weights.{name}"
            ) from None
    if not file_hash(path).startswith(source.sha256):
        raise UserError(
            f"{path}: not the weights published at {source.url}, as its SHA-256 does not start with "
            f"{source.sha256}; delete it to fetch them again"
        )
    return path


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_network(name: str, weights: Path, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """A network's features: images (n, H, W, C) uint8 to (n, d) float32. Grey images are shown as RGB.

    On a GPU, too, the same images give the same features.

    Raises:
        UserError: the file is no such network, or the library that has it is not installed.
    """
    try:
        network = SOURCES[name].read(weights, device)
    except UserError:
        raise
    except Exception as error:  # the libraries raise whatever another file leads to
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{weights}: not the weights of {name} ({type(error).__name__}: {reason}); "
            f"accepted is a file like {SOURCES[name].url}"
        ) from None

    @torch.inference_mode()
    def features(images: np.ndarray) -> np.ndarray:
        parts = []
        # In full float32 and by the same kernels every time
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for start in range(0, len(images), BATCH):
                batch = torch.tensor(images[start : start + BATCH]).permute(0, 3, 1, 2)
                parts.append(network(batch.expand(-1, 3, -1, -1).contiguous().to(device)).float().cpu())
        return torch.cat(parts).numpy()

    return features


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """A file of named tensors, safetensors or what ``torch.save`` makes of them; no code that it may hold is run.

    Raises:
        UserError: it is a TorchScript program.
        Exception: of many kinds, where it is anything else.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    if _is_torchscript(path):
        raise UserError(
            f"{path}: a TorchScript program, which could do anything on this machine and is not run; accepted is a "
            f"file of tensors (config/README.md says how to make one, where the program is trusted)"
        )
    return cast(dict[str, Tensor], torch.load(path, map_location="cpu", weights_only=True))


def _is_torchscript(path: Path) -> bool:
    """Whether a file is an archive that holds code, by its table of contents."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name or name.endswith("/constants.pkl") for name in archive.namelist())


def _library(module: str) -> ModuleType:
    """Import a module of an optional library.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"metrics.spaces: this space needs a library that is missing ({error}); install it with "
            f"pip install 'memsweep[features]', or pip install -e '.[features]' in a copy of the project"
        ) from None


def _short_edge(images: Tensor, size: int, mode: str) -> Tensor:
    height, width = images.shape[2:]
    short = min(height, width)
    return _resized(images, (height * size // short, width * size // short), mode)


def _resized(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Images on [0, 255] resized to (height, width), on [0, 1], float32."""
    resized = F.interpolate(images.float() / 255, size, mode=mode, align_corners=False, antialias=True)
    return resized.clamp(0, 1)  # bicubic interpolation overshoots


def _normalised(images: Tensor) -> Tensor:
    """Images on [0, 1] with the mean and deviation of ImageNet's channels taken out."""
    mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std
