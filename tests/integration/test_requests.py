"""Requests on a line through a whole device: each with its decoder, down to the readings."""

from __future__ import annotations

from pathlib import Path

from sensord.client import Client, Update
from tests.kit.floor import Floor
from tests.kit.instrument import Instrument
from tests.kit.loops import on_each_loop

MULTIMETER = r"""
    [devices.dmm]
    reader = "serial"
    port = "{path}"
    on_open = "*CLS\n"
    topic = "{{device}}/{{field}}"

    [[devices.dmm.requests]]
    send = "MEAS:VOLT?\n"
    interval = "50ms"
    timeout = "50ms"
    decoder = {{ type = "number", field = "voltage" }}
    channels.voltage = {{ unit = "V" }}

    [[devices.dmm.requests]]
    name = "identity"
    send = "*IDN?\n"
    interval = "70ms"
    timeout = "70ms"
    decoder = {{ type = "csv", fields = ["maker", "model"], text_fields = ["maker", "model"] }}

    [[devices.dmm.requests]]
    send = "ARM\n"
    answer = "^READY (?P<slot>[0-9])"
    interval = "90ms"
    timeout = "90ms"
    then = [{{ send = "FETCH {{slot}}\n", timeout = "90ms" }}]
    decoder = {{ type = "key_value" }}
"""


@on_each_loop
async def test_each_request_has_its_decoder(tmp_path: Path) -> None:
    """A number, a list and a sequence on one line become the channels that they declare."""
    answers = {
        "MEAS:VOLT?": "+1.25E+00\r\n",
        "*IDN?": "KEYSIGHT,34401A\r\n",
        "ARM": "READY 3\r\n",
        "FETCH 3": "T=21.5\r\n",
    }
    path = tmp_path / "ttyUSB0"
    with Instrument(path, answers.get) as instrument:
        async with Floor(MULTIMETER.format(path=path)) as floor, Client(floor.url) as client:
            await floor.up("dmm")
            found = {}
            async for item in client.subscribe("dmm/#"):
                if isinstance(item, Update):
                    found[item.topic] = item.reading.value
                if len(found) == 4:
                    break
            faults = floor._devices[0].statistics().faults
    assert found == {
        "dmm/voltage": 1.25,
        "dmm/maker": "KEYSIGHT",
        "dmm/model": "34401A",
        "dmm/T": 21.5,
    }
    assert instrument.lines[0] == "*CLS"
    assert set(faults) <= {"no answer", "incomplete answer"}  # on a busy machine
