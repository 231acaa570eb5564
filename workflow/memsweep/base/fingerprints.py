"""Which code a stage's numbers depend on, as a hash.

Snakemake does not see imported modules. Each rule therefore carries the fingerprint of its
stage, so that a change of a metric measures again and a change of a figure redraws it.

The hash is taken over the parsed code of the stage's module, in which every name that is imported
from this package is written as the hash of the module that defines it, and so on. Comments,
docstrings, annotations, layout and import lines do not count, nor do names and places of modules:
moving one makes nothing stale. The edge of a package is the edge of staleness; see `SILENT` and `HELD`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# Packages that carry no numbers: they report, read and write, and say where and beside what runs are trained.
SILENT = frozenset({"base", "tables", "jobs"})

# Packages that decide trajectories. Golden trajectories hold their numbers, so they count by the version alone.
HELD = frozenset({"diffusion", "models", "training"})
VERSION = "training.version"


def fingerprint(*modules: str) -> str:
    """Hash of the code of modules of this package, and of all that they take from others of it.

    Args:
        modules: dotted names inside the package, such as ``metrics.measure``. Their own
            code counts wherever they lie.

    Returns:
        12 hexadecimal digits, the same on every machine that holds the same code.
    """
    names = [name.removeprefix(f"{PACKAGE.name}.") for name in modules]
    digests = sorted({_digest(PACKAGE, name) for name in names})
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]


@functools.cache
def _digest(package: Path, module: str) -> str:
    """Hash of a module's code and of what it imports from the package."""
    return _hash(_source(package, module), tuple(sorted(_imports(package, module).items())))


@functools.cache
def _hash(source: str, imported: tuple[tuple[str, str], ...]) -> str:
    """Hash of some code whose imported names stand for these."""
    tree = _Bare(dict(imported)).visit(ast.parse(source))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _counted(package: Path, module: str, name: str) -> str:
    """How an imported name counts: by itself, by the version, or by the code of its module."""
    area = module.partition(".")[0]
    if area in SILENT:
        return name
    return f"{_digest(package, VERSION if area in HELD else module)}.{name}"


class _Bare(ast.NodeTransformer):
    """Code without what decides no number, imported names written as what they stand for."""

    def __init__(self, imported: dict[str, str]) -> None:
        self._imported = imported

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        bare = ast.Expr(node.target) if node.value is None else ast.Assign([node.target], node.value)
        return self.generic_visit(ast.fix_missing_locations(ast.copy_location(bare, node)))

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._imported.get(node.id, node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """An attribute of an imported module is written as if it had been imported by itself."""
        if isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in self._imported:
            return ast.Name(self._imported[f"{node.value.id}.{node.attr}"], node.ctx)
        return self.generic_visit(node)


def _imports(package: Path, module: str) -> dict[str, str]:
    """What the names that a module imports stand for; of a module's attributes, those that are used."""
    code = _parsed(_source(package, module))
    names: dict[str, str] = {}
    for node in code.imports:
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
            continue
        source = source_of(package, module, node)
        for alias in node.names:
            name = alias.asname or alias.name
            if source is None:
                names[name] = f"{node.module}.{alias.name}"
            elif (inner := _joined(source, alias.name)) and _file(package, inner):
                names |= {f"{name}.{used}": _defined(package, inner, used) for used in code.attributes.get(name, ())}
            else:
                names[name] = _defined(package, source, alias.name)
    return names


def source_of(package: Path, module: str, node: ast.ImportFrom) -> str | None:
    """The module of the package that a module imports from; empty for the package itself, None for another one."""
    if not node.level:
        first, _, rest = (node.module or "").partition(".")
        return rest if first == package.name else None
    file = _file(package, module)
    parents = module.split(".") if module else []
    up = node.level - (file is not None and file.name == "__init__.py")
    return _joined(*parents[: len(parents) - up], node.module or "")


def _defined(package: Path, module: str, name: str) -> str:
    """How a name counts that is imported from a module, which may itself import it from another."""
    for node in _parsed(_source(package, module)).tree.body:
        if isinstance(node, ast.ImportFrom) and (source := source_of(package, module, node)) is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name and not _file(package, _joined(source, alias.name)):
                    return _defined(package, source, alias.name)
    return _counted(package, module, name)


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _file(package: Path, module: str) -> Path | None:
    """Where a module stands, if there is one of that name."""
    path = package.joinpath(*module.split(".")) if module else package
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


@dataclass(frozen=True)
class _Code:
    """A module's code, what it imports, and of each name the attributes that it uses."""

    tree: ast.Module
    imports: list[ast.Import | ast.ImportFrom]
    attributes: Mapping[str, set[str]]


@functools.cache
def _parsed(source: str) -> _Code:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    attributes: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            attributes.setdefault(node.value.id, set()).add(node.attr)
    return _Code(tree, [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)], attributes)


@functools.cache
def _source(package: Path, module: str) -> str:
    file = _file(package, module)
    if file is None:
        raise ModuleNotFoundError(f"no module {module!r} in {package}")
    return file.read_text()
