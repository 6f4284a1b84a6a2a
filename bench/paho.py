"""The bare paho-mqtt callback loop, to compare with: ``python -m bench.paho PORT FILTER``.

Counts messages; prints the count for each line on standard input.
"""

from __future__ import annotations

import sys
import threading

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

__all__: list[str] = []

received = 0


def on_message(_client: Client, _userdata: object, _message: MQTTMessage) -> None:
    """Count one message."""
    global received  # noqa: PLW0603  # the cheapest callback there is
    received += 1


def answer(client: Client) -> None:
    """Tell the count when asked; at the end of the input, stop."""
    for _ in sys.stdin:
        print(received, flush=True)
    client.disconnect()


def main(port: int, pattern: str) -> None:
    """Subscribe and loop until the input ends."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe(pattern)
    threading.Thread(target=answer, args=(client,), name="answers", daemon=True).start()
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
