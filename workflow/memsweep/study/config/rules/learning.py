"""Rules of what learns, and how: the network against its images, formulation and training against themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from ...kind import watchable
from ...networks import KINDS, accepted_kinds, installed, split_path
from ...schedule import evaluation_steps
from ..asked import Asked
from ..sentences import shown


def the_network_fits_its_images(asked: Asked) -> Iterator[str]:
    """A U-Net can halve its images from level to level, a transformer cut them into patches."""
    height, width, kind = asked.facts.height, asked.facts.width, asked.config["network"]["kind"]
    if kind == "unet":
        yield from network_problems(asked, "network", height, width, "images")
    if kind == "dit" and math.gcd(height, width) % (patch := asked.config["network"]["dit"]["patch"]):
        yield (
            f"{asked.found('network.dit.patch')}; accepted is a number that divides {math.gcd(height, width)}, as "
            f"{height}x{width} images are cut into patches of {patch}x{patch}"
        )


def heads_divide_tokens(asked: Asked) -> Iterator[str]:
    """The channels of a transformer's token are shared out among its heads, in every size of the grid."""
    network = asked.config["network"]
    if network["kind"] != "dit":
        return
    width, heads = network["dit"]["width"], network["dit"]["heads"]
    for size in sorted({size for product in asked.products for size in product["base_channels"]}):
        if width * size % heads:
            yield (
                f"{asked.found('network.dit.heads')}; accepted is a number that divides the {width * size} channels of "
                f"a token, which are network.dit.width ({width}) times base_channels ({size})"
            )
            return


def keys_are_those_of_the_kind(asked: Asked) -> Iterator[str]:
    """No key is written that the network does not have: it would be thought to do something."""
    kind = asked.config["network"]["kind"]
    own = kind if kind in KINDS else "own"
    for key, value in asked.given.get("network", {}).items():
        section = key if key in (*KINDS, "own") else "unet"
        if key != "kind" and section != own:
            begin = f"{asked.found(f'network.{key}', shown(value))} with network.kind {shown(kind)}"
            place = "" if own == "unet" else f", below network.{own}"
            yield f"{begin}; accepted are the keys of this kind{place}"


def an_own_network_is_there(asked: Asked) -> Iterator[str]:
    """A network of the user's own is an entry point, or a class of a file that Snakemake can watch."""
    kind = asked.config["network"]["kind"]
    path, name = split_path(kind)
    if kind in KINDS:
        return
    if path is None:
        if kind not in installed():
            yield f"{asked.found('network.kind')}; accepted is {accepted_kinds()}"
    elif not name.isidentifier():
        yield f"{asked.found('network.kind')}; accepted is a file, a colon and the name of a class: ./my_net.py:MyNet"
    elif not watchable([str(path)]):
        yield f"{asked.found('network.kind')}; accepted is a path without braces and what cannot be printed"
    elif not path.is_file():
        yield f"{asked.found('network.kind')}; accepted is a file that is there, and {path} is none"


def own_keys_are_arguments(asked: Asked) -> Iterator[str]:
    """Keys of a network of the user's own are keyword arguments, with values that can be written as JSON."""
    for key, value in asked.config["network"]["own"].items():
        try:
            json.dumps(value, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError):
            yield f"network.own.{key}: found {shown(value)}; accepted are numbers, texts, true, false and lists"
        if not (isinstance(key, str) and key.isidentifier()):
            yield f"network.own: found the key {shown(key)}; accepted is the name of an argument"


def activations_are_those_of_blocks(asked: Asked) -> Iterator[str]:
    """Of a network of the user's own nobody knows the blocks whose activations could be computed again."""
    kind = asked.config["network"]["kind"]
    if asked.config["training"]["recompute"] and kind not in KINDS:
        yield (
            f"{asked.found('training.recompute')} with network.kind {shown(kind)}; accepted is false, as a network of "
            f"one's own decides by itself what it keeps for the backward pass"
        )


def network_problems(asked: Asked, key: str, height: int, width: int, images: str) -> Iterator[str]:
    """A U-Net against the size of its images, for every kind of study that has one.

    Args:
        asked: the config.
        key: where the network stands in the config, such as ``network``.
        height, width: of the images that it sees, in pixels.
        images: what they are called in a sentence.
    """
    levels = len(asked.value(f"{key}.channel_multipliers"))
    divisor = math.gcd(height, width)
    most = (divisor & -divisor).bit_length()  # halvings until one of the sides is odd, and the level before them
    if levels > most:
        yield (
            f"{asked.found(f'{key}.channel_multipliers', f'{levels} levels')}; accepted is at most {most}, as "
            f"{height}x{width} {images} are halved from level to level"
        )
    if any(level >= levels for level in asked.value(f"{key}.attention_levels")):
        yield (
            f"{asked.found(f'{key}.attention_levels')}; accepted are levels 0 to {levels - 1}, as channel_multipliers "
            f"has {levels}"
        )


def guidance_has_both_kinds_of_training(asked: Asked) -> Iterator[str]:
    """Guidance needs a network that was trained both with and without labels."""
    label_dropout, guidance = (asked.config["formulation"][key] for key in ("label_dropout", "guidance"))
    if guidance and not 0 < label_dropout < 1:
        lacking = "without" if label_dropout == 0 else "with"
        yield (
            f"{asked.found('formulation.guidance')} with formulation.label_dropout {label_dropout:g}; accepted is "
            f"0, or a label_dropout between 0 and 1: guidance needs a network trained with and without labels, and "
            f"this one never is trained {lacking} them"
        )


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
    training = asked.config["training"]
    for key, off, other, values in _NEEDS:
        if training[key] != off and training[other] not in values:
            yield (
                f"{asked.found(f'training.{key}')} with training.{other} {training[other]}; accepted is {off}, or a "
                f"training.{other} of {' or '.join(values)}"
            )


def runs_outlast_their_warm_up(asked: Asked) -> Iterator[str]:
    """Every run reaches its learning rate."""
    budget, evaluation = asked.config["training"]["budget"], asked.config["evaluation"]
    sizes = [(min(product["train_size"]), max(product["batch_size"])) for product in asked.products]
    images, batch = min(sizes, key=lambda size: size[0] / size[1])  # whose epochs have the fewest steps
    steps = evaluation_steps(budget, evaluation, images, batch)
    if steps and asked.value("training.warmup_steps") >= steps[-1]:
        yield (
            f"{asked.found('training.warmup_steps')}; accepted is less than {steps[-1]}, the steps of the shortest run "
            f"of the grid"
        )


def decay_leaves_some_of_the_weights(asked: Asked) -> Iterator[str]:
    """A step takes no more from a weight than all of it."""
    decay = asked.value("training.weight_decay")
    fastest = max(rate for product in asked.products for rate in product["learning_rate"])
    if decay * fastest >= 1:
        yield (
            f"{asked.found('training.weight_decay')}; accepted is less than {1 / fastest:g}, as a step at the learning "
            f"rate {fastest:g} would take all of each weight"
        )
