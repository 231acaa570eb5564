"""Which code a stage's numbers depend on, as a hash.

Snakemake does not see imported modules. Each rule therefore carries the fingerprint of its
stage, so that a change of the training step retrains and a change of a figure redraws it.
The hash is taken over the parsed code: comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent

# Modules that carry no numbers: they report, check, read and write, and say where and beside what runs are trained.
NEUTRAL = frozenset(
    {
        "checkpoints",
        "concurrency",
        "contracts",
        "cost",
        "devices",
        "errors",
        "files",
        "interruption",
        "progress",
        "provenance",
        "retraining",
        "tables",
    }
)


def fingerprint(*modules: str) -> str:
    """Hash of modules of this package and of every module of it that they import.

    Args:
        modules: dotted names inside the package, such as ``measure`` or ``figures.dynamics``.

    Returns:
        12 hexadecimal digits, the same on every machine that holds the same code.
    """
    digest = hashlib.sha256()
    for name in sorted(set().union(*map(dependencies, modules))):
        digest.update(f"{name}:{_parsed(name)[0]}\n".encode())
    return digest.hexdigest()[:12]


def training_code() -> str:
    """Fingerprint of the code that a trajectory depends on: a run trained by other code is stale."""
    return fingerprint("training", "evaluation", "surrogate")


def dependencies(module: str) -> set[str]:
    """The module and all it imports from this package, directly or not, less the neutral ones."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name in NEUTRAL:
            continue
        found.add(name)
        waiting += _parsed(name)[1]
    return found


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _parsed(module: str) -> tuple[str, tuple[str, ...]]:
    """Hash of a module's code without comments and docstrings, and the modules it imports."""
    tree = ast.parse(_path(module).read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    code = hashlib.sha256(ast.unparse(tree).encode()).hexdigest()
    return code, tuple(_imports(tree, module))


def _imports(tree: ast.Module, module: str) -> set[str]:
    inside = _path(module).name == "__init__.py"
    parents = module.split(".") if inside else module.split(".")[:-1]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parents[: len(parents) - node.level + 1] + (node.module.split(".") if node.module else [])
            candidates = [base, *([*base, alias.name] for alias in node.names)]
            names |= {".".join(parts) for parts in candidates if parts and _path(".".join(parts)).exists()}
    return names
