"""The Python client: typed, asynchronous, reconnects and resumes by itself.

async with Client("ws://127.0.0.1:8765", name="my monitor") as client:
    async for item in client.subscribe("plant/#"):
        match item:
            case Update(topic=topic, reading=reading):
                print(topic, reading.value)
            case Gap(lost=lost):
                print("lost", lost)
    async for row in client.summaries("plant/#", interval_s=60, start="-1h"):
        print(row)
    async with client.topics("plant/#", follow=True) as topics:
        async for row in topics:
            print(row)

Leaving a query, by a ``break`` or at the end of ``async with``, cancels it. A subscription resumes
where it stopped when it is iterated over again.
"""

from sensord.client.client import Client
from sensord.client.control import Calling, CommandError, Control, Lease
from sensord.client.conversation import (
    Again,
    Complete,
    Gap,
    Item,
    Message,
    Part,
    PhaseChange,
    Receipt,
    Row,
    Summary,
    Update,
)
from sensord.client.errors import ClientError, LostError
from sensord.client.inflow import Arrived
from sensord.client.messages import Inbox, Sending
from sensord.client.queries import History, Listing, Summaries
from sensord.client.replay import Replay
from sensord.client.services import Asked, FailedError, RejectedError, Service
from sensord.client.sniff import Sniffing
from sensord.client.state import Entry, SharedState
from sensord.client.subscription import Subscription
from sensord.client.trust import Trust
from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.model.sights import Sight, What

__all__ = [
    "Again",
    "Arrived",
    "Asked",
    "Calling",
    "Client",
    "ClientError",
    "CommandError",
    "Complete",
    "Control",
    "Entry",
    "FailedError",
    "Gap",
    "History",
    "Inbox",
    "Item",
    "Lease",
    "Listing",
    "LostError",
    "Message",
    "Part",
    "PhaseChange",
    "Position",
    "ProtocolError",
    "Receipt",
    "RejectedError",
    "Replay",
    "Row",
    "Sending",
    "Service",
    "SharedState",
    "Sight",
    "Sniffing",
    "Subscription",
    "Summaries",
    "Summary",
    "Trust",
    "Update",
    "Value",
    "What",
]
