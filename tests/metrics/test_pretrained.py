"""Published networks, tested from end to end with random weights in the published formats; no network is needed."""

from __future__ import annotations

import pickle
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.error import URLError

import numpy as np
import pytest
import timm
import torch
from helpers.configs import ROOT, changed
from helpers.packs import pack_settings
from memsweep.base.errors import UserError
from memsweep.data.images import decode, read_images
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics import features, pretrained
from memsweep.metrics.classifier import train_classifier
from memsweep.metrics.features import SPACES, Space, features_of, write_features
from memsweep.metrics.fidelity import DISTANCES
from memsweep.metrics.measure import measure_pack
from memsweep.metrics.novelty import share
from memsweep.metrics.pretrained import SOURCES, file_hash, find_weights, open_network
from memsweep.metrics.similarity import cosine_similarity
from memsweep.metrics.similarity_meter import SimilarityMeter
from memsweep.study.config import resolve, schema
from memsweep.study.sweep import OWN_SPACES
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import image_shape, metadata_of, read_arrow, read_table, write_table
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3 as library
from torchvision.models import resnet50
from torchvision.transforms import functional as vision

CPU = torch.device("cpu")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
SCHEMA = schema()["properties"]


def save_inception(path: Path) -> None:
    torch.manual_seed(0)
    with (
        mock.patch.object(library, "load_state_dict_from_url"),
        mock.patch.object(library.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = library.FeatureExtractorInceptionV3("random", ["2048"])
    # As in a trained network, so that signals neither vanish nor explode
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)


class PublishedSSCD(nn.Module):
    """SSCD as its authors build it: the state of this module is the file that they publish for torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet50(num_classes=512)
        self.backbone.avgpool = nn.Identity()
        self.backbone.fc = nn.Linear(2048, 512)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.backbone.relu(self.backbone.bn1(self.backbone.conv1(x)))
        maps = self.backbone.maxpool(maps)
        for layer in (self.backbone.layer1, self.backbone.layer2, self.backbone.layer3, self.backbone.layer4):
            maps = layer(maps)
        batch, channels, height, width = maps.shape
        mean = maps.reshape(batch, channels, height * width).clamp(min=1e-6).pow(3.0).mean(dim=2)
        return nn.functional.normalize(self.backbone.fc(mean.pow(1 / 3.0)))


def published_sscd() -> PublishedSSCD:
    torch.manual_seed(0)
    return PublishedSSCD().eval()


def save_sscd(path: Path) -> None:
    torch.save(published_sscd().state_dict(), path)


def save_torchscript(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(published_sscd(), torch.zeros(1, 3, 64, 64)).save(path)


def save_dinov2(path: Path) -> None:
    """The smallest published size; the published files hold position embeddings of 518x518 images and a mask token."""
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    torch.save({**network.state_dict(), "mask_token": torch.zeros(1, 384)}, path)


SAVE: dict[str, Callable[[Path], None]] = {"inception": save_inception, "sscd": save_sscd, "dinov2": save_dinov2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    for name, save in SAVE.items():
        save(folder / f"{name}.pt")
    return {name: str(folder / f"{name}.pt") for name in SAVE}


def resized(image: np.ndarray, size: int, mode: Any) -> torch.Tensor:
    """An image as Pillow resizes it, with ImageNet's normalisation."""
    pixels = vision.to_tensor(Image.fromarray(image).resize((size, size), mode))
    return vision.normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]


@torch.no_grad()
def expected_inception(path: str) -> np.ndarray:
    extractor = library.FeatureExtractorInceptionV3("random", ["2048"], path)
    return extractor(torch.tensor(IMAGES).permute(0, 3, 1, 2))[0].numpy()


@torch.no_grad()
def expected_sscd(path: str) -> np.ndarray:
    network = published_sscd()
    network.load_state_dict(torch.load(path))
    return torch.cat([network(resized(image, 288, Image.Resampling.BILINEAR)) for image in IMAGES]).numpy()


@torch.no_grad()
def expected_dinov2(path: str) -> np.ndarray:
    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0, dynamic_img_size=True).eval()
    saved = torch.load(path)
    network.load_state_dict({key: value for key, value in saved.items() if key != "mask_token"})
    return torch.cat([network(resized(image, 224, Image.Resampling.BICUBIC)) for image in IMAGES]).numpy()


@pytest.mark.parametrize(
    ("name", "dimension", "expected"),
    [("inception", 2048, expected_inception), ("sscd", 512, expected_sscd), ("dinov2", 384, expected_dinov2)],
)
def test_a_file_in_the_published_format_gives_the_features_of_its_network(
    name: str, dimension: int, expected: Callable[[str], np.ndarray], weights: dict[str, str]
) -> None:
    network = open_network(name, Path(weights[name]), CPU)
    found = network(IMAGES)
    reference = expected(weights[name])
    assert found.shape == (2, dimension)
    assert found.dtype == np.float32
    # Pillow rounds to whole grey levels
    assert np.linalg.norm(found - reference) < 0.01 * np.linalg.norm(reference)
    assert np.std(found, axis=0).max() > 0
    np.testing.assert_array_equal(found, network(IMAGES))


def test_grey_images_are_shown_as_rgb_and_batches_are_joined(
    weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = IMAGES[..., :1]
    whole = open_network("sscd", Path(weights["sscd"]), CPU)(grey.repeat(3, axis=3))
    monkeypatch.setattr(pretrained, "BATCH", 2)
    np.testing.assert_allclose(open_network("sscd", Path(weights["sscd"]), CPU)(grey), whole, atol=1e-6)


def test_an_image_that_is_not_square_keeps_its_shape_for_sscd() -> None:
    assert pretrained._short_edge(torch.zeros(1, 3, 32, 48, dtype=torch.uint8), 288, "bilinear").shape == (
        1,
        3,
        288,
        432,
    )


def test_every_space_and_distance_is_in_the_schema() -> None:
    metrics = SCHEMA["metrics"]["properties"]
    assert metrics["spaces"]["items"]["enum"] == list(SPACES)
    assert {*OWN_SPACES, *SOURCES} == set(SPACES)
    assert SCHEMA["figures"]["properties"]["distance"]["enum"] == list(SPACES)
    assert list(metrics["weights"]["properties"]) == list(SOURCES)
    assert metrics["distances"]["items"]["enum"] == list(DISTANCES)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("content", [b"", b"not a network", "other tensors"])
def test_a_file_that_is_no_such_network_is_named(name: str, content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(2)}, path) if isinstance(content, str) else path.write_bytes(content)
    with pytest.raises(UserError, match=rf"weights\.pt: not the weights of {name}") as error:
        open_network(name, path, CPU)
    assert len(str(error.value).splitlines()) == 1


def test_one_network_is_not_taken_for_another(weights: dict[str, str]) -> None:
    for name, other in [("inception", "sscd"), ("dinov2", "sscd"), ("inception", "dinov2"), ("dinov2", "inception")]:
        with pytest.raises(UserError, match=f"not the weights of {name}"):
            open_network(name, Path(weights[other]), CPU)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_no_program_in_a_file_of_weights_is_run(name: str, suffix: str, tmp_path: Path) -> None:
    mark, pickled, zipped = tmp_path / "mark", tmp_path / f"pickle{suffix}", tmp_path / f"zip{suffix}"
    pickled.write_bytes(pickle.dumps({"conv1.weight": Bomb(mark)}, protocol=2))
    torch.save({"conv1.weight": Bomb(mark)}, zipped)
    for path in (pickled, zipped):
        with pytest.raises(UserError, match=rf"{path.name}: not the weights of {name}"):
            open_network(name, path, CPU)
    assert not mark.exists()


def test_torchscript_is_refused_and_the_documented_command_makes_tensors_of_it(tmp_path: Path) -> None:
    script, tensors = tmp_path / "sscd.torchscript.pt", tmp_path / "sscd.pt"
    save_torchscript(script)
    for name in SOURCES:
        with (
            mock.patch("torch.jit.load", side_effect=AssertionError),
            pytest.raises(UserError, match=r"sscd\.torchscript\.pt: a TorchScript program, .* accepted is a file of"),
        ):
            open_network(name, script, CPU)
    (command,) = re.findall(r"^python -c .*torch\.jit.*$", (ROOT / "config" / "README.md").read_text(), re.MULTILINE)
    _, *code, _, _ = shlex.split(command)
    subprocess.run([sys.executable, "-W", "ignore", *code, str(script), str(tensors)], check=True)
    with torch.no_grad():
        expected = published_sscd()(resized(IMAGES[0], 288, Image.Resampling.BILINEAR)).numpy()
    found = open_network("sscd", tensors, CPU)(IMAGES[:1])
    assert np.linalg.norm(found - expected) < 0.01


@pytest.mark.parametrize("name", SOURCES)
def test_weights_may_be_safetensors(name: str, weights: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(torch.load(weights[name]), path)
    expected = open_network(name, Path(weights[name]), CPU)(IMAGES)
    np.testing.assert_array_equal(open_network(name, path, CPU)(IMAGES), expected)


@pytest.mark.parametrize(("name", "module"), [("inception", "torch_fidelity"), ("dinov2", "timm")])
def test_a_missing_library_is_said_with_how_to_install_it(name: str, module: str, weights: dict[str, str]) -> None:
    hidden = {module: None, "torch_fidelity.feature_extractor_inceptionv3": None}
    with mock.patch.dict("sys.modules", hidden), pytest.raises(UserError, match=r"pip install 'memsweep\[features\]'"):
        open_network(name, Path(weights[name]), CPU)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("name", SOURCES)
def test_without_a_network_it_is_said_what_to_put_where(name: str, hub: Path) -> None:
    with (
        mock.patch("torch.hub.urlopen", side_effect=URLError("no route to host")),
        pytest.raises(UserError) as error,
    ):
        find_weights(name, None)
    message = str(error.value)
    assert SOURCES[name].url in message
    assert str(hub / SOURCES[name].url.rpartition("/")[2]) in message
    assert f"metrics.weights.{name}" in message
    assert "no route to host" in message


def test_weights_are_fetched_once_and_kept(hub: Path, weights: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = Path(weights["sscd"]).as_uri()
    monkeypatch.setitem(SOURCES, "sscd", pretrained.Source(url, file_hash(Path(weights["sscd"]))[:8], pretrained.sscd))
    path = find_weights("sscd", None)
    assert path == hub / "sscd.pt"
    assert file_hash(path) == file_hash(Path(weights["sscd"]))
    with mock.patch("torch.hub.urlopen", side_effect=AssertionError):
        assert find_weights("sscd", None) == path


def test_other_content_than_was_published_is_refused(
    hub: Path, weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = Path(weights["sscd"]).as_uri()
    monkeypatch.setitem(SOURCES, "sscd", pretrained.Source(url, "00000000", pretrained.sscd))
    with pytest.raises(UserError, match=r"could not be fetched .*invalid hash value"):
        find_weights("sscd", None)
    hub.mkdir(exist_ok=True)
    (hub / "sscd.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"sscd\.pt: not the weights published at"):
        find_weights("sscd", None)


def test_the_hash_of_a_published_file_is_the_one_in_its_name() -> None:
    assert f"-{SOURCES['inception'].sha256}." in SOURCES["inception"].url


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metrics.spaces", ["vgg"], "metrics.spaces[0]: found 'vgg'; accepted is one of pixels, classifier, inception"),
        ("metrics.distances", ["kid"], "metrics.distances: found ['kid']; accepted is a list with sliced_wasserstein"),
        ("metrics.distances", ["fid"], "accepted is one of sliced_wasserstein, frechet, frechet_infinity, kid"),
        ("metrics.sscd_threshold", 1, "metrics.sscd_threshold: found 1; accepted is less than 1"),
        (
            "metrics.weights",
            {"sscd": "no/such.pt"},
            "metrics.weights.sscd: found 'no/such.pt'; accepted is the path of",
        ),
        ("metrics.weights", {"pixels": "a"}, "metrics.weights.pixels: unknown key"),
        ("figures.onset", "sscd_score", "figures.onset: found 'sscd_score'; accepted is an onset that is found"),
    ],
)
def test_a_bad_value_is_answered_when_the_config_is_read(path: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(changed(path, value))
    assert expected in str(error.value)


def test_features_are_computed_once_for_all_studies(weights: dict[str, str], digits: Path, tmp_path: Path) -> None:
    settings = {"space": "sscd", "weights": {"sscd": weights["sscd"]}}
    cache, first, second = tmp_path / "cache", tmp_path / "first" / "sscd.parquet", tmp_path / "second" / "sscd.parquet"
    small = mock.Mock(side_effect=lambda images: images.reshape(len(images), -1)[:, :5].astype(np.float32))
    with mock.patch.dict(features.SPACES, {"sscd": lambda _weights, _device: small}):
        write_features(settings, digits, tmp_path / "none.pt", cache, first)
        assert small.call_count == 2  # one per split
        write_features(settings, digits, tmp_path / "none.pt", cache, second)
        assert small.call_count == 2
        assert first.read_bytes() == second.read_bytes()
        assert first.stat().st_ino != second.stat().st_ino
        found = features_of(Space("sscd", Path(weights["sscd"])), second, read_images(digits).data_hash)
        np.testing.assert_array_equal(found["test"], small(read_images(digits).test.images))
        # Other weights, other features
        save_sscd(tmp_path / "other.pt")
        (tmp_path / "other.pt").write_bytes(Path(weights["dinov2"]).read_bytes())
        write_features({"space": "sscd", "weights": {"sscd": str(tmp_path / "other.pt")}}, digits, first, cache, first)
        assert small.call_count == 5
        # Half of a file in the cache is said, not used
        (kept,) = [path for path in cache.iterdir() if file_hash(Path(weights["sscd"]))[:16] in path.name]
        kept.write_bytes(kept.read_bytes()[:1000])
        with pytest.raises(UserError, match=f"{kept.name}: not a whole Parquet file"):
            write_features(settings, digits, tmp_path / "none.pt", cache, first)


@pytest.fixture(scope="module")
def few_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty digits to train on and forty held out."""
    table = read_arrow(digits, "images")
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    is_train = np.array(table["split"].to_pylist()) == "train"
    chosen = np.concatenate([np.flatnonzero(is_train)[:60], np.flatnonzero(~is_train)[:40]])
    path = tmp_path_factory.mktemp("few_digits") / "images.parquet"
    write_table(path, "images", table.take(chosen), {**metadata, "data_hash": "few"})
    return path


def metrics_settings(weights: dict[str, str]) -> dict[str, Any]:
    return {
        "f_mem_threshold": 1 / 3,
        "false_positive_rate": 0.05,
        "sscd_threshold": 0.6,
        "spaces": ["pixels", "sscd"],
        "distances": ["sliced_wasserstein", "frechet", "frechet_infinity", "kid"],
        "weights": {"sscd": weights["sscd"]},
        "projections": 4,
        "floor_draws": 3,
        "battery": [],
        "confidence": 0.95,
    }


@pytest.fixture(scope="module")
def measured(few_digits: Path, weights: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack measured by every distance, in the spaces of the study and in that of SSCD."""
    folder = tmp_path_factory.mktemp("measured")
    train_pack(pack_settings(), few_digits, folder / "checkpoints", folder / "train", Way(device="cpu"))
    train_classifier(few_digits, folder / "classifier.safetensors")
    settings = metrics_settings(weights)
    for space in settings["spaces"]:
        one = {"space": space, "weights": settings["weights"]}
        write_features(
            one,
            few_digits,
            folder / "classifier.safetensors",
            folder / "cache",
            folder / "features" / f"{space}.parquet",
        )
    measure_pack(settings, few_digits, folder / "train", folder / "features", folder / "classifier.safetensors", folder)
    return folder


def test_features_of_other_weights_are_not_compared(
    measured: Path, few_digits: Path, weights: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(Path(weights["sscd"]).read_bytes() + b" ")
    settings = metrics_settings({"sscd": str(other)})
    with pytest.raises(UserError, match=r"sscd\.parquet: not made with .*other\.pt"):
        measure_pack(
            settings,
            few_digits,
            measured / "train",
            measured / "features",
            measured / "classifier.safetensors",
            tmp_path,
        )


def test_every_distance_is_measured_in_every_space_at_every_step(measured: Path) -> None:
    metrics = read_table(measured / "metrics.parquet", "metrics")
    assert (metrics["ci_low"] <= metrics["value"]).all()
    assert (metrics["value"] <= metrics["ci_high"]).all()
    counts = metrics.groupby(["metric", "space", "reference"]).size().to_dict()
    steps = 3 * 5
    assert counts == {
        ("f_mem", "pixels", "train"): steps,
        ("f_mem", "pixels", "control"): steps,
        ("f_mem_held_out", "pixels", "train"): 3,
        **{
            (f"sliced_wasserstein_corrected_{half}", space, "test"): steps
            for half in ("first",)  # all samples are in it, as there is one of each label
            for space in ("pixels", "sscd")
        },
        ("copy_threshold", "pixels", "control"): 3,
        ("near_threshold", "pixels", "control"): 3,
        ("lean", "pixels", "control"): steps,
        ("f_mem_calibrated_held_out", "pixels", "control"): 3,
        **{("f_mem_calibrated", "pixels", reference): 15 for reference in ("train", "control")},
        **{("sscd_score", "sscd", reference): steps for reference in ("train", "test", "control")},
        ("sscd_score_held_out", "sscd", "train"): 3,
        **{
            (f"{distance}{kind}", space, split): count
            for kind, count in (("", steps), ("_corrected", steps), ("_floor", 3))
            for distance in DISTANCES
            for space in ("pixels", "sscd")
            for split in ("train", "test")
        },
    }


def test_the_share_of_copies_by_sscd_is_its_definition(
    measured: Path, few_digits: Path, weights: dict[str, str]
) -> None:
    images = read_images(few_digits)
    to_features = open_network("sscd", Path(weights["sscd"]), CPU)
    metrics = read_table(measured / "metrics.parquet", "metrics")
    found = metrics[metrics["metric"] == "sscd_score_held_out"].iloc[0]
    cosines = to_features(images.test.images) @ to_features(images.train.images[:8]).T
    expected = share(cosines.max(axis=1) > 0.6, 0.95)
    assert (found["value"], found["ci_low"], found["ci_high"]) == (expected.value, expected.ci_low, expected.ci_high)
    assert found["generated"] == 40


def test_how_similar_each_sample_is_stands_beside_its_neighbours(
    measured: Path, few_digits: Path, weights: dict[str, str]
) -> None:
    images, neighbours = read_images(few_digits), read_table(measured / "neighbours.parquet", "neighbours")
    samples = read_arrow(measured / "train" / "samples.parquet", "samples")
    generated = decode(samples["image"], image_shape(metadata_of(samples)))
    to_features = open_network("sscd", Path(weights["sscd"]), CPU)
    keys = samples.select(["run_id", "step", "index"]).to_pandas()
    near = neighbours[neighbours["reference"] == "train"]
    sizes = read_table(measured / "train" / "runs.parquet", "runs").set_index("run_id")["train_size"]
    similarity = keys.merge(near, on=list(keys))["similarity"]
    for run_id, size in sizes.items():
        own = np.flatnonzero(keys["run_id"] == run_id)
        cosines = to_features(generated[own]) @ to_features(images.train.images[:size]).T
        np.testing.assert_allclose(similarity[own], cosines.max(axis=1), atol=1e-5)
    shares = read_table(measured / "metrics.parquet", "metrics").query(
        "metric == 'sscd_score' and reference == 'control'"
    )
    of_control = neighbours[neighbours["reference"] == "control"]
    expected = (of_control["similarity"] > 0.6).groupby([of_control["run_id"], of_control["step"]]).mean()
    assert shares.set_index(["run_id", "step"])["value"].to_dict() == expected.to_dict()


def test_copies_are_found_by_their_direction_and_controls_are_other_images() -> None:
    source = np.random.default_rng(0)
    split = {"train": source.normal(size=(30, 200)).astype(np.float32), "test": source.normal(size=(5, 200))}
    split["test"] = split["test"].astype(np.float32)
    meter = SimilarityMeter({"sscd_threshold": 0.6, "confidence": 0.95}, split, TrainingSet(20))
    samples = np.concatenate([3 * split["train"][:10], split["train"][20:30], split["test"]])
    values = {row["reference"]: (row["value"], row["generated"]) for row in meter.measure(meter.similarities(samples))}
    assert values == {"train": (10 / 25, 25), "control": (15 / 25, 25), "test": (5 / 25, 25)}
    assert meter.held_out()["value"] == 0


def test_the_cosine_similarity_is_that_of_the_most_similar_reference() -> None:
    source = np.random.default_rng(0)
    samples, references = (source.normal(size=(count, 9)).astype(np.float32) for count in (40, 70))
    cosines = samples @ references.T
    cosines /= np.outer(np.linalg.norm(samples, axis=1), np.linalg.norm(references, axis=1))
    np.testing.assert_allclose(cosine_similarity(samples, references), cosines.max(axis=1), atol=1e-6)
    samples[0] = 0
    assert cosine_similarity(samples, references)[0] == 0
    assert cosine_similarity(references, references) == pytest.approx(1)
    # A reference without direction is similar to nothing, and so more similar than one opposite
    assert cosine_similarity(-references[:1], np.stack([references[0], samples[0]]))[0] == 0
    assert cosine_similarity(references, samples[:1]) == pytest.approx(0)
