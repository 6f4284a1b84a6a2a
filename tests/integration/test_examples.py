"""The examples do what they say, in a real browser and in Node."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

import pytest

from tests import conversation


@pytest.mark.slow
def test_an_operator_a_page_and_a_service_work_together() -> None:
    """All three patterns, each seen by those whom it concerns, and all of it audited."""
    if shutil.which("node") is None or subprocess.call([*conversation.NODE, "-e", "0"]):
        pytest.skip("Node 20.10 or newer is needed")
    said: dict[str, list[str]] = defaultdict(list)
    conversation.main(lambda who, what: said[who].append(what))
    operator, page, audit = said["operator"], said["page"], said["audit"]
    assert "published by the service" in operator[0]
    assert "called the service: the mean is" in operator[2]
    assert operator[3].endswith("it is set to 22.0")
    assert "the message was delivered and delivered" in operator
    assert operator[-1].startswith("the service is gone: not_found")
    assert said["rival"][0].startswith("may not: held: heating is held by operator")
    assert said["rival"][1].startswith("lost no update: conflict")
    assert "shows the setpoint 22" in page
    assert "operator: how are you?" in page
    assert f"{conversation.BOILER} was acknowledged by page" in page
    assert f"set {conversation.SETPOINT} done (operator)" in audit
    assert f"set {conversation.SETPOINT} held (rival)" in audit
    assert "lease heating taken (operator)" in audit
    assert "message group/operators delivered (operator)" in audit
