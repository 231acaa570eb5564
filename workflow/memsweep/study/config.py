"""Reads a study's configuration: fills in defaults, and says everything that is wrong with it."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ..base.errors import UserError
from .catalogue import describe
from .feature_learning_checks import feature_learning_problems
from .grid import chosen, expand
from .network_checks import network_problems
from .run import AXES
from .schedule import evaluation_steps, sampled_steps

Config = dict[str, Any]


# What can be studied, by the config's ``kind``: each has its schema.
KINDS = ("sweep", "mixed_cumulant", "feature_learning")

# Values of an image (64x64 grey, or 36x36 RGB) up to which its full covariance is a matter of minutes.
LARGEST_SURROGATE = 4096


@functools.cache
def schema(kind: str = "sweep") -> dict[str, Any]:
    """The JSON schema of a kind of study, references filled in: the only place where a default is written."""
    folder = Path(__file__).parent / "schemas"
    rules = yaml.safe_load((folder / f"{kind}.schema.yaml").read_text())
    definitions = {**yaml.safe_load((folder / "shared.yaml").read_text()), **rules.pop("$defs", {})}

    def filled_in(part: Any) -> Any:
        if isinstance(part, Mapping):
            if "$ref" in part:
                return filled_in(definitions[part["$ref"].removeprefix("#/$defs/")])
            return {key: filled_in(value) for key, value in part.items()}
        return [filled_in(value) for value in part] if isinstance(part, list) else part

    result: dict[str, Any] = filled_in(rules)
    return result


def resolve(config: Mapping[str, Any], files: list[Path] | None = None) -> Config:
    """Check a study's configuration and return it with every default filled in.

    Args:
        config: the study as read from YAML.
        files: where it was read from; checked for keys written twice and, together with
            the other studies in the same folder, for study names used twice.

    Raises:
        UserError: one sentence per problem, each naming the key, the value found and what
            is accepted.
    """
    if not isinstance(config, Mapping):
        named = f"{_shown(files[0])}: " if files else ""
        raise UserError(f"config error: {named}found {config!r:.80}; accepted is a study, a mapping of keys to values")
    config = _with_texts_read(config, _scientific_number)
    config = {
        key: _with_texts_read(value, _number) if key in ("only", "exclude") else value for key, value in config.items()
    }
    problems = list(_file_problems(files or []))
    resolved: Config = {}
    kind = config.get("kind", "sweep")
    if kind not in KINDS:
        problems.append(f"kind: found {kind!r}; accepted is one of {', '.join(KINDS)}")
    else:
        problems += _schema_problems(config, schema(kind))
    problems += _not_finite(config)
    if not problems:
        resolved = _with_defaults(config, schema(kind))
        if kind == "sweep":
            _follow_what_is_measured(resolved, config)
        problems += (_marked_as_default(problem, config) for problem in _PROBLEMS[kind](resolved))
    if problems:
        raise UserError("\n".join(f"config error: {problem}" for problem in dict.fromkeys(problems)))
    return resolved


def _follow_what_is_measured(resolved: Config, config: Mapping[str, Any]) -> None:
    """Defaults of figures that depend on the metrics: of what is not measured, nothing is drawn."""
    given, figures, metrics = config.get("figures", {}), resolved["figures"], resolved["metrics"]
    if "panels" not in given:
        figures["panels"] = [panel for panel in figures["panels"] if panel in _measured(metrics)]
    if "distance" not in given and figures["distance"] not in metrics["spaces"]:
        figures["distance"] = metrics["spaces"][0]


def _measured(metrics: Mapping[str, Any]) -> set[str]:
    """What the dynamics can show."""
    scores = {"sscd_score"} if "sscd" in metrics["spaces"] else set()
    return {"loss", "loss_gap", "f_mem", *metrics["distances"], *scores}


def _marked_as_default(problem: str, config: Mapping[str, Any]) -> str:
    """A problem, saying so where the value that it names was not written by the user."""
    parts = re.match(r"([\w.]+): found (\[.*?\]|'.*?'|\S+?)(?=[ ;])", problem)
    part: Any = config
    if not parts:
        return problem
    for name in parts[1].split("."):
        if not isinstance(part, Mapping):
            break
        if name not in part:
            return f"{parts[0]} (the default){problem[len(parts[0]) :]}"
        part = part[name]
    return problem


def _with_texts_read(value: Any, read: Callable[[str], Any]) -> Any:
    """A config with every text in it, however deep, replaced by what ``read`` makes of it."""
    if isinstance(value, Mapping):
        return {key: _with_texts_read(item, read) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts_read(item, read) for item in value]
    return read(value) if isinstance(value, str) else value


def _scientific_number(text: str) -> Any:
    """1e-4 as a number, as YAML 1.2 reads it: the older YAML of PyYAML takes it for text."""
    return float(text) if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", text) else text


def _number(text: str) -> Any:
    """A number of a choice of runs, which Snakemake's ``--config`` hands over as text."""
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", text):
        return text
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _with_defaults(value: Any, subschema: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_with_defaults(item, subschema.get("items", {})) for item in value]
    if not isinstance(value, Mapping):
        return _one_spelling(value, subschema)
    branches = [branch["then"] for branch in subschema.get("allOf", []) if _is_valid(value, branch["if"])]
    properties = {
        key: {**subschema.get("properties", {}).get(key, {}), **rule}
        for part in (subschema, *branches)
        for key, rule in part.get("properties", {}).items()
    }
    others = subschema.get("additionalProperties") or {}
    filled = {key: _with_defaults(item, properties.get(key, others)) for key, item in value.items()}
    for key, property_schema in properties.items():
        if key not in filled and "default" in property_schema:
            filled[key] = _with_defaults(property_schema["default"], property_schema)
    return filled


def _is_valid(value: Any, subschema: Mapping[str, Any]) -> bool:
    return bool(Draft202012Validator(subschema).is_valid(value))


def _one_spelling(value: Any, subschema: Mapping[str, Any]) -> Any:
    """600 and 600.0 as one number: as two they would be two settings."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    kinds = {"number": float, "integer": int}
    return kinds[subschema["type"]](value) if subschema.get("type") in kinds else value


def _not_finite(value: Any, key: str = "") -> Iterator[str]:
    """The keys that hold infinity or not-a-number, which YAML can write and a schema cannot refuse."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _not_finite(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{key}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: found {value}; accepted is a finite number"


def _schema_problems(config: Mapping[str, Any], rules: Mapping[str, Any]) -> Iterator[str]:
    errors = Draft202012Validator(rules).iter_errors(config)
    yield from map(_sentence, sorted(errors, key=lambda error: list(map(str, error.path))))


# What is accepted, by the schema's keyword that was violated and its value there.
_ACCEPTED = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minItems": "a list of at least {} value(s)",
    "maxItems": "a list of at most {} value(s)",
    "uniqueItems": "a list without repeated values",
    "pattern": "a name of letters, digits, '-' and '_'",
}


def _sentence(error: ValidationError) -> str:
    """One schema violation as a sentence."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path).lstrip(".")
    keyword, rule, instance = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    known = list(cast(Any, error.schema).get("properties", {}))
    if keyword == "additionalProperties":
        return "; ".join(_unknown_key(key, str(name), known) for name in instance if name not in known)
    if keyword == "required":
        missing = ", ".join(repr(name) for name in rule if name not in instance)
        return f"{key or 'the study'}: missing {missing}"
    if keyword == "enum":
        accepted = f"one of {', '.join(map(str, rule))}"
    elif keyword == "type":
        accepted = _TYPES.get(rule, rule)
    elif keyword == "not":
        accepted = cast(Any, error.schema)["description"]
    elif keyword in ("minProperties", "maxProperties"):
        accepted = f"exactly one of {', '.join(known)}"
    else:
        accepted = _ACCEPTED.get(keyword, error.message).format(rule)
    found = repr(instance)
    found = found if len(found) <= 80 else f"{found[:77]}..."
    return f"{key or 'the study'}: found {found}; accepted is {accepted}"


_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping of keys to values",
    "boolean": "true or false",
}


def _unknown_key(parent: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    return f"{f'{parent}.' if parent else ''}{name}: unknown key{hint}; accepted keys are {', '.join(known)}"


def _sweep_problems(config: Config) -> Iterator[str]:
    yield from _grid_problems(config)
    yield from _formulation_problems(config["formulation"])


def _grid_problems(config: Config) -> Iterator[str]:
    """What a schema cannot say: the grid against the data, the network and the schedule."""
    dataset = config["dataset"]
    try:
        facts = describe(dataset)
        available = facts.training_images(dataset["name"], dataset["test_images"])
    except UserError as error:
        yield str(error)
        return
    grid = config["grid"]
    for number, product in enumerate(grid["products"]):
        missing = [axis for axis in AXES if axis not in product and axis not in grid["base"]]
        if missing:
            yield f"grid.products[{number}]: no value for {', '.join(missing)}; give it here or in grid.base"
            return
    yield from _choice_problems(config)
    for point in expand(grid):
        if point["train_size"] > available:
            less = "" if facts.test else f" less {dataset['test_images']} for testing"
            yield (
                f"grid: train_size {point['train_size']} is larger than the data; accepted is at most {available} "
                f"({facts.train} images{less})"
            )
        if point["batch_size"] > point["train_size"]:
            yield (
                f"grid: batch_size {point['batch_size']} is larger than train_size {point['train_size']}; "
                f"accepted is a batch of at most the training set"
            )
        schedule = config["training"]["budget"], config["evaluation"], point["train_size"], point["batch_size"]
        if not evaluation_steps(*schedule):
            (unit, length), *_ = config["training"]["budget"].items()
            yield (
                f"evaluation.first: found {config['evaluation']['first']:g}; accepted is at most the budget, "
                f"{length:g} {unit}, in the same unit"
            )
        elif not sampled_steps(*schedule):
            yield (
                f"evaluation.sample_every: found {config['evaluation']['sample_every']}; accepted is less: no "
                f"evaluation within the budget would have samples"
            )
    yield from network_problems("network", config["network"], facts.height, facts.width, "images")
    values = facts.channels * facts.height * facts.width
    if config["evaluation"]["surrogates"] and values > LARGEST_SURROGATE:
        yield (
            f"evaluation.surrogates: found {config['evaluation']['surrogates']} for images of {values} values; "
            f"accepted is [] beyond {LARGEST_SURROGATE} values, where full covariances take too long"
        )
    yield from _metrics_problems(config["metrics"])
    yield from _figures_problems(config)
    yield from _stopping_problems(config)


def _stopping_problems(config: Config) -> Iterator[str]:
    """A run that ends before its onset."""
    share, onset = config["training"]["stop_memorised"], config["onset"]["f_mem"]
    if 0 < share <= onset:
        yield (
            f"training.stop_memorised: found {share:g}; accepted is 0, or more than onset.f_mem, which is {onset:g}: "
            f"runs would end before that onset"
        )


def _figures_problems(config: Config) -> Iterator[str]:
    """Figures of what is not measured."""
    if config["figures"]["distance"] not in config["metrics"]["spaces"]:
        yield (
            f"figures.distance: found {config['figures']['distance']!r}; accepted is one of metrics.spaces, "
            f"{', '.join(config['metrics']['spaces'])}"
        )
    for panel in config["figures"]["panels"]:
        if panel not in _measured(config["metrics"]):
            needed = "metrics.spaces with sscd" if panel == "sscd_score" else f"metrics.distances with {panel}"
            yield f"figures.panels: found {panel}; accepted is what is measured, and this needs {needed}"


def _choice_problems(config: Config) -> Iterator[str]:
    """Values that are not on the grid, a substudy that has no name, and choices that leave nothing."""
    named = config["substudies"]
    if config.get("substudy", next(iter(named), None)) not in (*named, None):
        accepted = f"one of {', '.join(named)}" if named else "a name listed under substudies, and there is none"
        yield f"substudy: found {config['substudy']!r}; accepted is {accepted}"
        return
    points = list(expand(config["grid"]))
    on_grid = {axis: sorted({point[axis] for point in points}) for axis in AXES}
    for place, part in [("", config), *((f"substudies.{name}.", part) for name, part in named.items())]:
        unknown = list(_values_off_the_grid(place, part, on_grid))
        yield from unknown
        if not unknown and not any(chosen(point, config) and chosen(point, part) for point in points):
            where = place.rstrip(".") or "only, exclude"
            yield f"{where}: no run of the grid is left; accepted is a choice of at least one"


def _values_off_the_grid(place: str, part: Mapping[str, Any], on_grid: Mapping[str, Sequence[float]]) -> Iterator[str]:
    for key in ("only", "exclude"):
        for axis, values in part.get(key, {}).items():
            unknown = [value for value in values if value not in on_grid[axis]]
            if unknown:
                found, accepted = (", ".join(f"{value:g}" for value in listed) for listed in (unknown, on_grid[axis]))
                yield f"{place}{key}.{axis}: found {found}; accepted are values of the grid, {accepted}"


def _formulation_problems(formulation: Mapping[str, Any]) -> Iterator[str]:
    """Guidance needs a network that was trained both with and without labels."""
    label_dropout, guidance = formulation["label_dropout"], formulation["guidance"]
    if guidance and not 0 < label_dropout < 1:
        lacking = "without" if label_dropout == 0 else "with"
        yield (
            f"formulation.guidance: found {guidance:g} with formulation.label_dropout {label_dropout:g}; accepted is "
            f"0, or a label_dropout between 0 and 1: guidance needs a network trained with and without labels, and "
            f"this one never is trained {lacking} them"
        )


def _metrics_problems(metrics: Config) -> Iterator[str]:
    """Distances that the figures need, and files that are not there."""
    if "sliced_wasserstein" not in metrics["distances"]:
        yield (
            f"metrics.distances: found {metrics['distances']}; accepted is a list with sliced_wasserstein, "
            f"which the figures draw"
        )
    for space, path in metrics["weights"].items():
        if not Path(path).is_file():
            yield f"metrics.weights.{space}: found {path!r}; accepted is the path of a file, and there is none"


def _mixed_cumulant_problems(config: Config) -> Iterator[str]:
    """Names that stand for two things, and experiments with nothing to learn."""
    for kind in ("experiments", "networks"):
        names = [experiment["name"] for experiment in config[kind]]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"{kind}: found the name {name!r} twice; accepted is a name of its own for each"
        for number, experiment in enumerate(config[kind]):
            if experiment["beta_u"] == experiment["beta_v"] == 0:
                yield f"{kind}[{number}]: found beta_u 0 and beta_v 0; accepted is at least one spike above 0"


# What is wrong with a resolved config of each kind that its schema cannot say.
_PROBLEMS: Mapping[str, Callable[[Config], Iterator[str]]] = {
    "sweep": _sweep_problems,
    "mixed_cumulant": _mixed_cumulant_problems,
    "feature_learning": feature_learning_problems,
}


class _RefusingRepeatedKeys(yaml.SafeLoader):
    """Reads YAML, refusing a key that is written twice where YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise UserError(f"key '{key}' is written twice, line {key_node.start_mark.line + 1}; accepted is once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Raises:
        UserError: it is missing, is not YAML, or writes a key twice.
    """
    try:
        return yaml.load(path.read_text(), _RefusingRepeatedKeys)  # a SafeLoader
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _shown(path: Path) -> Path:
    """A path as a user would write it: relative where it lies below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _file_problems(files: list[Path]) -> Iterator[str]:
    for path in map(_shown, files):
        try:
            study = read_yaml(path)
        except UserError as error:
            yield str(error)
            continue
        name = study.get("study") if isinstance(study, Mapping) else None
        others = [other for other in sorted(path.parent.glob("*.y*ml")) if not any(map(other.samefile, files))]
        same = [str(other) for other in others if name is not None and _name_of(other) == name]
        if same:
            yield (
                f"study: the name '{name}' of {path} is also the name of {', '.join(same)}; accepted is a name of its "
                f"own, as results go to results/{name}/"
            )


def _name_of(path: Path) -> Any:
    """The name of the study in a file, if it is one."""
    try:
        study = read_yaml(path)
    except UserError:
        return None  # another study's file is not this study's problem
    return study.get("study") if isinstance(study, Mapping) else None
