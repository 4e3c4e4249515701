"""deploy/alerts.yml: Prometheus accepts the rules, and each fires in its situation only."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import engines
from tests.thoroughness import sampled

RULES = Path(__file__).parents[2] / "deploy" / "alerts.yml"
ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
# Series of a healthy server, and what differs in the situation of an alert: a value that stays, or one that grows by
# this number each minute.
BUCKETS = {'le="0.5"': 100, 'le="60.0"': 100, 'le="+Inf"': 100}
HEALTHY = {
    'up{job="bellcast"}': "1",
    "bellcast_store_up": "1",
    "bellcast_broker_up": "1",
    'bellcast_requests_total{route="/v1/notifications",status="201"}': "0+1000",
    'bellcast_requests_total{route="/v1/notifications",status="503"}': "0+1",
    "bellcast_queue_age_seconds": "2",
    "bellcast_unreadable_pusher_apps": "0",
    'bellcast_jobs{kind="message",state="dead"}': "0",
    'bellcast_attempts_total{channel="email",provider="env-email-1",outcome="accepted"}': "0+100",
    'bellcast_attempts_total{channel="email",provider="env-email-1",outcome="temporary"}': "0+1",
    'bellcast_messages_total{channel="email",state="sent"}': "0+100",
    'bellcast_messages_total{channel="email",state="bounced"}': "0+1",
    'bellcast_webhook_attempts_total{outcome="accepted"}': "0+100",
    'bellcast_webhook_attempts_total{outcome="failed"}': "0+1",
    'bellcast_closed_connections_total{reason="too_slow"}': "0+1",
    'bellcast_reconciled_total{kind="change"}': "0+1",
    'bellcast_written_total{kind="notification"}': "0+1000",
    "bellcast_outbox_flows": "1",
    "bellcast_outbox_oldest_seconds": "0",
    "bellcast_outbox_refused": "0",
    'process_open_fds{job="bellcast",instance="a"}': "100",
    'process_max_fds{job="bellcast",instance="a"}': "1000",
    'bellcast_build_info{job="bellcast",instance="a",version="1.0.0+5f0c2a1b"}': "1",
    **{f"bellcast_delivery_seconds_bucket{{{bound}}}": f"0+{count}" for bound, count in BUCKETS.items()},
    **{
        f'bellcast_request_seconds_bucket{{method="POST",route="/v1/notifications",{bound}}}': f"0+{count}"
        for bound, count in BUCKETS.items()
    },
}
SITUATIONS = {
    "BellcastDown": {'up{job="bellcast"}': "0"},
    "BellcastStoreDown": {"bellcast_store_up": "0"},
    "BellcastBrokerDown": {"bellcast_broker_up": "0"},
    "BellcastRequestsFail": {'bellcast_requests_total{route="/v1/notifications",status="503"}': "0+100"},
    "BellcastRequestsSlow": {
        'bellcast_request_seconds_bucket{method="POST",route="/v1/notifications",le="0.5"}': "0+10"
    },
    "BellcastDeliveryLate": {'bellcast_delivery_seconds_bucket{le="0.5"}': "0+10"},
    "BellcastEventsLost": {'bellcast_reconciled_total{kind="change"}': "0+20"},
    "BellcastQueueLate": {"bellcast_queue_age_seconds": "90"},
    "BellcastPusherAppUnreadable": {"bellcast_unreadable_pusher_apps": "1"},
    "BellcastJobsDead": {'bellcast_jobs{kind="message",state="dead"}': "1"},
    "BellcastProviderFails": {
        'bellcast_attempts_total{channel="email",provider="env-email-1",outcome="accepted"}': "0+0",
        'bellcast_attempts_total{channel="email",provider="env-email-1",outcome="temporary"}': "0+20",
    },
    "BellcastMessagesFail": {'bellcast_messages_total{channel="email",state="bounced"}': "0+50"},
    "BellcastWebhooksFail": {'bellcast_webhook_attempts_total{outcome="failed"}': "0+300"},
    "BellcastSlowReaders": {'bellcast_closed_connections_total{reason="too_slow"}': "0+600"},
    "BellcastOutboxStopped": {"bellcast_outbox_flows": "0"},
    "BellcastOutboxLate": {"bellcast_outbox_oldest_seconds": "30"},
    "BellcastOutboxRefused": {"bellcast_outbox_refused": "2"},
    "BellcastOpenFiles": {'process_open_fds{job="bellcast",instance="a"}': "950"},
    "BellcastVersionsDiffer": {'bellcast_build_info{job="bellcast",instance="b",version="1.0.0+7d1e9c44"}': "1"},
}
MINUTES = 90


def firing(folder: Path, *names: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Check with promtool that exactly these alerts fire within MINUTES. Their labels and texts are not compared: each
    is the value 1 of Prometheus' own series ALERTS."""
    series = [
        {"series": name, "values": f"{value}x{MINUTES}" if "+" in value else f"{value}+0x{MINUTES}"}
        for name, value in (HEALTHY | changes).items()
    ]
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    query = f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{MINUTES}m]))'
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [{"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": expected}],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(test))
    command = [engines.tool("promtool"), "test", "rules", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_prometheus_accepts_the_rules() -> None:
    done = subprocess.run(
        [engines.tool("promtool"), "check", "rules", RULES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_no_alert_fires_for_a_healthy_server(tmp_path: Path) -> None:
    done = firing(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sampled(ALERTS))
def test_alert_fires_in_its_situation_only(tmp_path: Path, name: str) -> None:
    done = firing(tmp_path, name, **SITUATIONS[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {  # few changes: one late in 25 is no trend
            'bellcast_reconciled_total{kind="change"}': "0+0.2",
            'bellcast_written_total{kind="notification"}': "0+5",
        },
        {'bellcast_reconciled_total{kind="revocation"}': "0+20"},  # a session that ended is no lost change
        {'bellcast_reconciled_total{kind="change"}': "0+1x40 5000+1"},  # a single interruption of the broker
    ],
)
def test_few_late_changes_ended_sessions_and_one_interruption_are_no_lost_events(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    done = firing(tmp_path, **changes)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_what_to_do(name: str) -> None:
    assert ALERTS[name]["labels"]["severity"] in ("critical", "warning")
    assert ALERTS[name]["annotations"].keys() == {"summary", "fix"}
