"""The summary page: every part of it put into one file that needs nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ...base.files import replacing
from ...base.fingerprints import PACKAGE
from ...figures.wording import MINUS
from ...study.axes import read_axes
from ...study.kinds import KINDS
from ...tables.parquet import read_table
from ...tables.together import check_together
from . import charts, claims, making
from .answers import answer
from .explorer import explored
from .methods import methods
from .pictures import caption_html, pictures
from .run_names import RunNames
from .samples import sheets
from .tables import embedded_tables

ASSETS = Path(__file__).parent
# Of figures and tables, as Snakemake's own report has them; they lie beside the package
CAPTIONS = PACKAGE.parent / "report"
# Tables in the order in which they are looked at; others follow as they come
FIRST = ("claims", "runs", "onsets", "scaling", "ratios", "leads", "fidelity_trends", "peaks")


def write_summary(
    config: Mapping[str, Any],
    folder: Path,
    output: Path,
    tables: Sequence[str] | None = None,
    asked: Mapping[str, Any] | None = None,
    partial: str | None = None,
    captions: Path = CAPTIONS,
    shown: Path | None = None,
) -> None:
    """Write the summary of a study from its results, as far as they are there.

    Args:
        config: the resolved configuration, as a study has it in ``config``.
        folder: the study's results, such as ``results/digits``.
        output: the page.
        tables: names of the tables to show; by default, whichever lie in the folder of tables.
        asked: the configuration as its author wrote it, to print; by default the resolved one.
        partial: a sentence for the head of the page, where results are not complete.
        shown: folder of the tables and figures; by default the study's own.
        captions: folder with the captions, ``figures`` and ``tables`` below it; by default those of the workflow.

    Raises:
        UserError: a table is damaged, or of other images or runs than the others.
    """
    study: Any = KINDS[config["kind"]](config)
    # Tables and figures of a substudy lie apart from what its runs wrote
    shown = shown or folder.parent / study.place
    found = read_tables(shown / "tables", tables)
    names = RunNames.of(found["runs"], read_axes(study.told)) if "runs" in found else None
    heads = {name: _caption(captions / "tables" / f"{name}.rst", study.config) for name in found}
    data = {
        "study": study.name,
        "runs": _runs(names) if names else None,
        "tables": embedded_tables(found, shown / "tables", heads, names),
        "explorer": _explorer(study, found, names, folder) if names else None,
    }
    page = (
        _environment()
        .get_template("summary.html.j2")
        .render(
            study=study,
            partial=partial,
            confidence=f"{100 * study.config.get('confidence', 0.95):g} %",
            answer=answer(study, found),
            claims=claims.cards(found["claims"]) if "claims" in found else [],
            pictures=pictures(study, shown / "figures", captions / "figures"),
            data=data,
            methods=methods(study, found),
            versions=making.versions(),
            machine=making.machine(),
            cost=making.cost(folder / "benchmarks" / "train", study.jobs) if study.kind == "sweep" else "",
            commands=making.commands(study),
            config=yaml.safe_dump(_plain(asked or study.config), sort_keys=False, allow_unicode=True, width=100),
            vega=charts.bundle() if data["explorer"] else "",
        )
    )
    with replacing(output) as temporary:
        temporary.write_text(page)


def read_tables(folder: Path, names: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """The tables of a folder by name, in the order in which they are looked at.

    Raises:
        UserError: as of `write_summary`.
    """
    known = [path.stem for path in sorted(folder.glob("*.parquet"))] if names is None else list(names)
    known += ["claims"] if "claims" not in known and (folder / "claims.parquet").is_file() else []
    ordered = sorted(known, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), known.index(name)))
    images = folder.parent / "data" / "images.parquet"
    check_together([*(folder / f"{name}.parquet" for name in ordered), *([images] if images.is_file() else [])])
    return {name: read_table(folder / f"{name}.parquet", name) for name in ordered}


def _runs(names: RunNames) -> dict[str, Any]:
    """The runs as the page's scripts know them."""
    axes = [
        {
            "name": axis.column,
            "title": axis.title,
            "written": names.written[axis.column],
            "values": names.values[axis.column],
        }
        for axis in names.axes
    ]
    return {"ids": names.ids, "labels": names.labels, "status": names.status, "axes": axes}


def _explorer(study: Any, tables: Mapping[str, pd.DataFrame], names: RunNames, folder: Path) -> dict[str, Any] | None:
    found = explored(tables, names, read_axes(study.told), study.told)
    if found:
        packs = {job: [run.run_id for run in study.packs[job]] for job in study.explored}
        images = sheets(packs, folder, study.config["metrics"]["f_mem_threshold"])
        if images:
            places = names.places
            images["sheets"] = {places[run]: sheet for run, sheet in images["sheets"].items() if run in places}
        found["images"] = images
    return found


def _caption(file: Path, config: Mapping[str, Any]) -> str:
    return caption_html(file.read_text(), config) if file.is_file() else ""


def _plain(value: Any) -> Any:
    """A configuration as YAML's own types."""
    return json.loads(json.dumps(value))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"powers": powers, "json": _json, "asset": _asset}
    return environment


def powers(sentence: str) -> Markup:
    """A sentence as HTML: what follows a caret is raised, f_mem has its index, and no line ends within ``N = 128``."""
    text = str(escape(sentence))
    text = re.sub(r" (=|&gt;|∝) ", "\u00a0\\1\u00a0", text).replace(" %", "\u00a0%")
    text = re.sub(rf"\^([{MINUS}-]?[\d.∞]+(?<!\.)|k\b)", r"<sup>\1</sup>", text)
    return Markup(text.replace("f_mem", "<i>f</i><sub>mem</sub>"))


def _json(value: Any) -> Markup:
    """JSON that no HTML can be hidden in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _asset(name: str) -> Markup:
    """A script or a style sheet that lies beside this module."""
    return Markup((ASSETS / name).read_text())
