"""The dashboard and the alerts in `deploy/` use metrics and labels that `/metrics` has."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bellcast.outbox import consumer
from bellcast.server.metrics import COUNTERS, RequestMetrics
from tests.journey.rest import Rest
from tests.unit.server import test_metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
METRIC = re.compile(r"\b(?:bellcast|process)_\w+")
# An outbox needs PostgreSQL; tests/outbox read these gauges of a real one.
OUTBOX = {f"bellcast_{name}" for name in re.findall(r'"(outbox_\w+)"', inspect.getsource(consumer))}
# Labels that Prometheus or the metrics of several workers add.
ADDED = {"job", "instance", "worker", "le"}


async def test_each_metric_of_the_dashboard_and_the_alerts_exists(rest: Rest) -> None:
    await rest.app.get("/v1/keys")
    text = (await rest.anonymous.get("/metrics")).text
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)", text, re.MULTILINE))
    names = types.keys() | {f"{name}_bucket" for name, type in types.items() if type == "histogram"} | OUTBOX
    assert len(EXPRESSIONS) - len(RULES) >= len(PANELS) >= 10
    assert [name for text in EXPRESSIONS for name in METRIC.findall(text) if name not in names] == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_label_of_the_dashboard_and_the_alerts_exists(expression: str) -> None:
    requests = RequestMetrics()
    requests.count("GET", "/v1/keys", 200, 0.1)
    text = test_metrics.exporter(requests).text(None, test_metrics.JOBS, {}).decode()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    labels = {label for one in samples if one.name in METRIC.findall(expression) for label in one.labels}
    labels.update(*(names for name, _, names in COUNTERS if f"bellcast_{name}_total" in expression))
    groupings = re.findall(r"(?:by|on) \(([^)]*)\)", expression)
    grouped = {label for grouping in groupings for label in grouping.split(", ")}
    selected = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression))
    assert grouped | selected <= labels | ADDED


def test_panels_have_different_ids_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
