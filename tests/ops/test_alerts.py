"""The rules for alerts: Prometheus can read them, and they ask for what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

from agents.project import show_open
from ops.main import COMMANDS
from topics.metrics import METRICS

ALERTS = Path(__file__).parents[2] / "deploy" / "alerts.yml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
KNOWN = {metric.name: set(metric.labels) for metric in METRICS}


def named(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


def test_groups_and_alerts_have_names_of_their_own() -> None:
    for names in ([group["name"] for group in GROUPS], list(map(named, RULES))):
        assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_has_what_prometheus_asks_of_it(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[0-9]+[mhd]", rule.get("for", "1m"))
    assert rule["labels"].keys() == {"severity"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_uses_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    metrics = re.findall(r"bitcorp_[a-z_]+", rule["expr"])
    assert metrics and set(metrics) <= KNOWN.keys()
    grouped = re.findall(r"by \(([a-z, ]+)\)", rule["expr"])
    labels = {label for group in grouped for label in group.split(", ")} | set(re.findall(r"([a-z]+)=", rule["expr"]))
    assert labels <= set().union(*(KNOWN[metric] for metric in metrics))
    assert set(re.findall(r"\$labels\.([a-z]+)", str(rule["annotations"]))) <= labels


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_commands_that_a_rule_advises_are_there(rule: dict[str, Any]) -> None:
    advised = re.findall(r"bitcorp ([a-z-]+)", str(rule["annotations"]))
    assert set(advised) <= {name for name, *_ in COMMANDS}


def test_open_letters_are_shown_by_reason_and_those_without_any_are_not() -> None:
    show_open({"failed": 2, "invalid": 1})
    assert b'bitcorp_dead_letters_open{reason="failed"} 2.0' in generate_latest(REGISTRY)
    show_open({"invalid": 1})
    assert b'reason="failed"} 2.0' not in generate_latest(REGISTRY)
