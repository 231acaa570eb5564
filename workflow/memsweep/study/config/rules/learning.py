"""Rules of what learns, and how: the network against its images, formulation and training against themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...axes import cell
from ...kind import watchable
from ...networks import KINDS, accepted_kinds, installed, split_path
from ...schedule import evaluation_steps
from ..asked import Asked, Combination
from ..sentences import shown


def the_network_fits_its_images(asked: Asked) -> Iterator[str]:
    """A U-Net can halve its images from level to level, a transformer cut them into patches."""
    height, width = asked.facts.height, asked.facts.width
    levels, attention, patch = (f"network.{key}" for key in ("channel_multipliers", "attention_levels", "dit.patch"))
    for found in asked.combinations("network.kind", levels, attention):
        if found["network.kind"] == "unet":
            yield from network_problems(found.found, "network", found[levels], found[attention], (height, width))
    for found in asked.combinations("network.kind", patch):
        if found["network.kind"] == "dit" and math.gcd(height, width) % found[patch]:
            yield (
                f"{found.found(patch)}; accepted is a number that divides {math.gcd(height, width)}, as "
                f"{height}x{width} images are cut into patches of {found[patch]}x{found[patch]}"
            )


def heads_divide_tokens(asked: Asked) -> Iterator[str]:
    """The channels of a transformer's token are shared out among its heads, in every size of the grid."""
    keys = "network.kind", "network.dit.heads", "network.dit.width", "base_channels"
    for found in sorted(asked.combinations(*keys), key=lambda each: int(each["base_channels"])):
        width, size = found["network.dit.width"], found["base_channels"]
        if found["network.kind"] == "dit" and width * size % found["network.dit.heads"]:
            yield (
                f"{found.found('network.dit.heads')}; accepted is a number that divides the {width * size} channels of "
                f"a token, which are network.dit.width ({width}) times base_channels ({size})"
            )
            return


def _owner(kind: str) -> str:
    """The part of ``network`` that a kind's keys are: of the U-Net ``unet``, though they lie in none of their own."""
    return kind if kind in KINDS else "own"


def _part(key: str) -> str:
    """The part of ``network`` that a key below it belongs to."""
    return key.partition(".")[0] if key.partition(".")[0] in (*KINDS, "own") else "unet"


def keys_are_those_of_the_kind(asked: Asked) -> Iterator[str]:
    """No key is written that the network does not have: it would be thought to do something."""
    kinds = list(dict.fromkeys(found["network.kind"] for found in asked.combinations("network.kind")))
    for key, value in asked.given.get("network", {}).items():
        if key != "kind" and _part(key) not in map(_owner, kinds):
            yield _not_of_the_kind(asked.found(f"network.{key}", shown(value)), kinds)
    for number, product in enumerate(asked.config["grid"]["products"]):
        here = asked.products[number].get("network.kind", kinds)
        for axis, values in product.items():
            key = axis.removeprefix("network.")
            if key not in (axis, "kind") and {_part(key)} != set(map(_owner, here)):
                yield _not_of_the_kind(f"grid.products[{number}].{axis}: found {shown(values)}", here)


def _not_of_the_kind(begin: str, kinds: Sequence[str]) -> str:
    places = [f"below network.{_owner(kind)}" for kind in kinds if _owner(kind) != "unet"]
    where = f", {' or '.join(places)}" if places and "unet" not in kinds else ""
    each = "this kind" if len(kinds) == 1 else "each of these kinds"
    return f"{begin} with network.kind {', '.join(map(shown, kinds))}; accepted are the keys of {each}{where}"


def an_own_network_is_there(asked: Asked) -> Iterator[str]:
    """A network of the user's own is an entry point, or a class of a file that Snakemake can watch."""
    for found in asked.combinations("network.kind"):
        kind = found["network.kind"]
        path, name = split_path(kind)
        begin = found.found("network.kind")
        if kind in KINDS:
            continue
        if path is None:
            if kind not in installed():
                yield f"{begin}; accepted is {accepted_kinds()}"
        elif not name.isidentifier():
            yield f"{begin}; accepted is a file, a colon and the name of a class: ./my_net.py:MyNet"
        elif not watchable([str(path)]):
            yield f"{begin}; accepted is a path without braces and what cannot be printed"
        elif not path.is_file():
            yield f"{begin}; accepted is a file that is there, and {path} is none"


def networks_have_names_of_their_own(asked: Asked) -> Iterator[str]:
    """Tables and paths know a network by its class, wherever its file lies."""
    kinds = [found["network.kind"] for found in asked.combinations("network.kind")]
    for kind in kinds:
        same = [other for other in kinds if other != kind and cell("network.kind", other) == cell("network.kind", kind)]
        if same:
            yield f"network.kind: found {shown(kind)} and {shown(same[0])}; accepted are classes of different names"
            return


def own_keys_are_arguments(asked: Asked) -> Iterator[str]:
    """Keys of a network of the user's own are keyword arguments, with values that can be written as JSON."""
    for key, value in asked.config["network"]["own"].items():
        if not _is_json(value):
            yield f"network.own.{key}: found {shown(value)}; accepted are numbers, texts, true, false and lists"
        if not (isinstance(key, str) and key.isidentifier()):
            yield f"network.own: found the key {shown(key)}; accepted is the name of an argument"
    for number, product in enumerate(asked.config["grid"]["products"]):
        for axis, values in product.items():
            if axis.startswith("network.own.") and not (_is_json(values) and _are_of_one_type(values)):
                yield (
                    f"grid.products[{number}].{axis}: found {shown(values)}; accepted are numbers, or texts, or lists "
                    f"of these"
                )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError):
        return False
    return True


def _are_of_one_type(values: Sequence[Any]) -> bool:
    """As values of one column are; a list holds none."""
    flat = all(not isinstance(item, list | dict) for value in values if isinstance(value, list) for item in value)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers or (flat and len({type(value) for value in values}) == 1 and not isinstance(values[0], dict))


def activations_are_those_of_blocks(asked: Asked) -> Iterator[str]:
    """Of a network of the user's own nobody knows the blocks whose activations could be computed again."""
    for found in asked.combinations("network.kind"):
        if asked.config["training"]["recompute"] and found["network.kind"] not in KINDS:
            yield (
                f"{asked.found('training.recompute')} with network.kind {shown(found['network.kind'])}; accepted is "
                f"false, as a network of one's own decides by itself what it keeps for the backward pass"
            )


def network_problems(
    found: Callable[..., str],
    key: str,
    multipliers: Sequence[int],
    attention: Sequence[int],
    size: tuple[int, int],
    images: str = "images",
) -> Iterator[str]:
    """A U-Net against the size of its images, for every kind of study that has one.

    Args:
        found: begins a sentence about a key, as `Asked.found`.
        key: where the network stands in the config, such as ``network``.
        multipliers, attention: its ``channel_multipliers`` and ``attention_levels``.
        size: height and width of the images that it sees, in pixels.
        images: what they are called in a sentence.
    """
    height, width = size
    levels = len(multipliers)
    divisor = math.gcd(height, width)
    most = (divisor & -divisor).bit_length()  # halvings until one of the sides is odd, and the level before them
    if levels > most:
        yield (
            f"{found(f'{key}.channel_multipliers', f'{levels} levels')}; accepted is at most {most}, as "
            f"{height}x{width} {images} are halved from level to level"
        )
    if any(level >= levels for level in attention):
        yield (
            f"{found(f'{key}.attention_levels')}; accepted are levels 0 to {levels - 1}, as channel_multipliers "
            f"has {levels}"
        )


def guidance_has_both_kinds_of_training(asked: Asked) -> Iterator[str]:
    """Guidance needs a network that was trained both with and without labels."""
    for found in asked.combinations("formulation.label_dropout", "formulation.guidance"):
        label_dropout, guidance = found["formulation.label_dropout"], found["formulation.guidance"]
        if guidance and not 0 < label_dropout < 1:
            lacking = "without" if label_dropout == 0 else "with"
            yield (
                f"{found.found('formulation.guidance')} with formulation.label_dropout {label_dropout:g}; accepted is "
                f"0, or a label_dropout between 0 and 1: guidance needs a network trained with and without labels, and "
                f"this one never is trained {lacking} them"
            )


# Steps of the chain of DDPM
CHAIN = 1000


def a_chain_is_sampled_in_its_steps(asked: Asked) -> Iterator[str]:
    """DDIM leaves out steps of the chain, and adds none."""
    for found in asked.combinations("formulation.name", "formulation.sampling_steps"):
        if found["formulation.name"] == "ddpm" and found["formulation.sampling_steps"] > CHAIN:
            yield f"{found.found('formulation.sampling_steps')} with formulation.name ddpm; accepted is at most {CHAIN}"


# Options that do something at certain values of another: key, the value at which it is off, the other key, its values
_NEEDS = (
    ("weight_decay", 0, "optimizer", ("adamw", "sgd")),
    ("momentum", 0, "optimizer", ("sgd",)),
    ("schedule_floor", 0, "schedule", ("cosine",)),
    ("time_location", 0, "time_sampling", ("logit_normal",)),
    ("time_scale", 1, "time_sampling", ("logit_normal",)),
)


def options_have_something_to_change(asked: Asked) -> Iterator[str]:
    """An option that would do nothing is a mistake, and would make other runs of those that are there."""
    for key, off, other, values in _NEEDS:
        option, needed = f"training.{key}", f"training.{other}"
        for found in asked.combinations(option, needed):
            if found[option] != off and found[needed] not in values:
                yield (
                    f"{found.found(option)} with {needed} {found[needed]}; accepted is {off}, or a {needed} of "
                    f"{' or '.join(values)}"
                )


def runs_outlast_their_warm_up(asked: Asked) -> Iterator[str]:
    """Every run reaches its learning rate."""
    budget, evaluation = asked.config["training"]["budget"], asked.config["evaluation"]
    shortest: dict[int, Combination] = {}  # by warm-up, the run whose epochs have the fewest steps
    for found in asked.combinations("training.warmup_steps", "train_size", "batch_size"):
        known = shortest.setdefault(found["training.warmup_steps"], found)
        if found["train_size"] / found["batch_size"] < known["train_size"] / known["batch_size"]:
            shortest[found["training.warmup_steps"]] = found
    for warmup, found in shortest.items():
        steps = evaluation_steps(budget, evaluation, found["train_size"], found["batch_size"])
        if steps and warmup >= steps[-1]:
            yield (
                f"{found.found('training.warmup_steps')}; accepted is less than {steps[-1]}, the steps of the shortest "
                f"run of the grid"
            )


def decay_leaves_some_of_the_weights(asked: Asked) -> Iterator[str]:
    """A step takes no more from a weight than all of it."""
    fastest: dict[float, Combination] = {}  # by weight decay, the largest learning rate
    for found in asked.combinations("training.weight_decay", "learning_rate"):
        known = fastest.setdefault(found["training.weight_decay"], found)
        if found["learning_rate"] > known["learning_rate"]:
            fastest[found["training.weight_decay"]] = found
    for decay, found in fastest.items():
        rate = found["learning_rate"]
        if decay * rate >= 1:
            yield (
                f"{found.found('training.weight_decay')}; accepted is less than {1 / rate:g}, as a step at the "
                f"learning rate {rate:g} would take all of each weight"
            )
