"""The Python client: typed, asynchronous, reconnects and resumes by itself.

async with Client("ws://127.0.0.1:8765", name="my monitor") as client:
    async for item in client.subscribe("plant/#"):
        match item:
            case Update(topic=topic, reading=reading):
                print(topic, reading.value)
            case Gap(lost=lost):
                print("lost", lost)
"""

from sensord.client.client import Client, ClientError
from sensord.client.control import CommandError, Control, Lease
from sensord.client.conversation import Gap, Item, PhaseChange, Update
from sensord.client.replay import Replay
from sensord.client.state import Entry, SharedState
from sensord.client.subscription import Arrived, Subscription

__all__ = [
    "Arrived",
    "Client",
    "ClientError",
    "CommandError",
    "Control",
    "Entry",
    "Gap",
    "Item",
    "Lease",
    "PhaseChange",
    "Replay",
    "SharedState",
    "Subscription",
    "Update",
]
