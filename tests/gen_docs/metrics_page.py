"""docs/reference/metrics.md: each metric with its labels, as fixtures/report/metrics/series.py declares them."""

from __future__ import annotations

from collections.abc import Iterable

from fixtures.core.paths import ROOT
from fixtures.report.metrics.dashboard import STATES
from fixtures.report.metrics.series import METRICS, QUANTILES
from fixtures.report.model import Verdict
from fixtures.report.pages.view import LEGS

PAGE = ROOT / "docs" / "reference" / "metrics.md"
HEAD = """# Metrics

Every run writes `metrics.prom` into its report folder, in Prometheus' text format and without timestamps; `--metrics`
takes the same to a file or a Pushgateway ([monitoring](../how-to/monitoring.md)). Names and labels change in a major
version alone; a minor one may add some. Made by `./ci/gen-docs`.

Each metric has the label `fleet`: `name` of the profile, which is the same in every run. Two fleets that are looked at
together need two names. What a run did not measure, or does not know, has no series.

| metric | type | further labels | says |
|---|---|---|---|
"""
TAIL = """
| label | has |
|---|---|
{labels}

`quantile` makes a summary of a metric; a run has neither its sum nor its count, so a Pushgateway shows both as 0. A
verdict or status that a later version adds is a further value: alerts should name those that they are about.

```
fleet_conformance_verdict{{fleet="prod",verdict="nonconformant"}} 1
fleet_conformance_check_status{{fleet="prod",check="DEP-04",area="DEP",level="MUST",status="failed"}} 1
fleet_conformance_cause{{fleet="prod",check="DEP-04",level="MUST"}} 1
```

Of the checks that fail because of DEP-04 none has a `fleet_conformance_cause`: an alert on it fires once, not thirty
times.
"""


def page() -> str:
    """The whole page."""
    rows = (
        f"| `{metric.full_name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels) or '–'} "
        f"| {metric.help} |\n"
        for metric in METRICS
    )
    labels = {
        "verdict": _listed(verdict.value for verdict in Verdict),
        "status": _listed(status.value for status in reversed(STATES)),
        "check": "the id, e.g. `DEP-04`; of a further package `DEP-11.MODULE`; those of own checks, too",
        "area": "what the id begins with, e.g. `DEP`",
        "level": "`MUST`, `SHOULD`: as the profile raises it",
        "leg": _listed(LEGS),
        "quantile": _listed(QUANTILES.values()),
        "version, commit": "of the suite that ran",
    }
    return HEAD + "".join(rows) + TAIL.format(labels="\n".join(f"| {name} | {text} |" for name, text in labels.items()))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
