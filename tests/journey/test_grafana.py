"""The dashboard in `deploy/grafana.json` shows metrics and labels that `/metrics` has."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bellcast.api.metrics import RequestMetrics
from bellcast.outbox import consumer
from tests.journey.rest import Rest
from tests.unit.api import test_metrics

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
METRIC = re.compile(r"bellcast_\w+")
# An outbox needs PostgreSQL; tests/outbox read these gauges of a real one.
OUTBOX = {f"bellcast_{name}" for name in re.findall(r'"(outbox_\w+)"', inspect.getsource(consumer))}


async def test_each_metric_of_the_dashboard_exists(rest: Rest) -> None:
    await rest.app.get("/v1/keys")
    text = (await rest.anonymous.get("/metrics")).text
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | set(METRIC.findall(text)) | OUTBOX
    assert len(EXPRESSIONS) >= len(PANELS) >= 10
    assert [name for text in EXPRESSIONS for name in METRIC.findall(text) if name not in names] == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_label_of_the_dashboard_exists(expression: str) -> None:
    requests = RequestMetrics()
    requests.count("GET", "/v1/keys", 200, 0.1)
    text = test_metrics.exporter(requests).text(None, test_metrics.JOBS).decode()
    (name,) = METRIC.findall(expression)
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples if one.name == name]
    # Prometheus adds the labels `job` and `instance`.
    labels = {"job", "instance", *(label for one in samples for label in one.labels)}
    grouping = re.search(r"by \(([^)]*)\)", expression)
    grouped = [] if grouping is None else grouping[1].split(", ")
    selected = re.findall(r"(\w+)=~?\"", expression)
    assert {*grouped, *selected} <= labels


def test_panels_have_different_ids_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
