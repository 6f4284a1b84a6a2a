"""Readings delivered to Kafka: all of them, in order, and recognisable if one is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_uplinks import config, micros, recorded, status, until
from tests.kit.daemon import Daemon, sensord
from tests.kit.kafka import Cluster, Stored

TOPIC = "plant"


def uplink(address: str) -> str:
    return f"""
type = "kafka"
servers = ["{address}"]
topic = "{TOPIC}"
interval = "50ms"
start = "oldest"
"""


def levels(rows: list[Stored]) -> dict[int, float]:
    return {
        micros(one.value["time"]): one.value["value"]
        for one in rows
        if one.key == "plant/level"
        and one.value["quality"] == "good"
        and "restated" not in one.value
    }


@pytest.mark.timeout(300)
def test_every_reading_reaches_the_cluster_in_order_though_the_daemon_is_killed(
    tmp_path: Path,
) -> None:
    """And though the cluster stops answering for longer than a request may last."""
    with (
        Cluster() as cluster,
        Daemon(tmp_path, config(tmp_path, uplink(cluster.address))) as daemon,
    ):
        for round_ in range(3):
            daemon.wait_for_log("uplink is up")
            before = len(cluster.stored(TOPIC))
            until(lambda before=before: len(cluster.stored(TOPIC)) > before + 20)  # type: ignore[misc]
            if round_ == 1:
                cluster.stop()
                daemon.wait_for_log("uplink is down")
                cluster.go_on()
            daemon.kill()
            daemon.start()
        held = recorded(daemon)
        until(lambda: set(levels(cluster.stored(TOPIC))) >= set(held))
        rows = cluster.stored(TOPIC)
    found = levels(rows)
    assert {time: found[time] for time in held} == held
    assert len({one.partition for one in rows if one.key == "plant/level"}) == 1
    offsets = [int(one.headers["offset"]) for one in rows if one.key == "plant/level"]
    first_seen = list(dict.fromkeys(offsets))
    assert first_seen == sorted(first_seen), "in order, but for repeated ones"
    assert all(one.headers["epoch"] == one.value["epoch"] for one in rows)


def test_a_missing_cluster_is_named_and_tried_again(tmp_path: Path) -> None:
    """The daemon serves all the same, and a stop is not held up."""
    with Cluster() as cluster:
        address = cluster.address
    with Daemon(tmp_path, config(tmp_path, uplink(address))) as daemon:
        daemon.wait_for_log("uplink is down")
        assert status(daemon)["state"] in {"down", "connecting"}
        assert sensord("history", "plant/level", "--from", "-1h", "--url", daemon.url).stdout
        assert daemon.stop()[0] == 0
