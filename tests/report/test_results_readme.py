"""results/README.md names the tables that studies leave."""

from __future__ import annotations

import re

from helpers.configs import ROOT


def test_every_table_that_a_rule_writes_has_one_line_and_no_other_has() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    written = set(re.findall(r"/tables/(\w+)\.parquet", rules))
    named = re.findall(r"^\| `(\w+)` \|", (ROOT / "results" / "README.md").read_text(), re.MULTILINE)
    assert len(written) > 40
    assert sorted(named) == sorted(written)
