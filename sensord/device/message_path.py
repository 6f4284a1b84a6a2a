"""The path of a message from its filter to the channels: decoder, names, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sensord.bus import Bus
from sensord.config.scopes import Scope
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.decode.base import Dated, Decoder, Fault, Sample, Sourced, Zoned
from sensord.device.identity import Identifier
from sensord.device.route import Route
from sensord.device.tap import TapMaker
from sensord.model.topics import expand

__all__ = ["MessagePath", "identifier_of", "message_paths"]

BARE = "value"
"""What decoders call a message that is one value."""


class MessagePath:
    """How the messages of one filter are read; those of most connections have one."""

    __slots__ = (
        "dated",
        "decoder",
        "field",
        "identifier",
        "is_identifying",
        "maker",
        "sourced",
        "zoned",
    )

    def __init__(
        self, decoder: Decoder | None, maker: TapMaker, identifier: Identifier, field_: str
    ) -> None:
        self.decoder = decoder
        able: object = decoder  # to more, perhaps, than every decoder is
        self.sourced = able if isinstance(able, Sourced) else None
        self.dated = able if isinstance(able, Dated) else None
        self.zoned = able if isinstance(able, Zoned) else None
        self.maker = maker
        self.identifier = identifier
        self.field = field_
        self.is_identifying = identifier.is_needed or bool(field_)

    def renamed(self, route: Route, samples: Iterable[Sample]) -> list[Sample]:
        """Return samples under the name that their filter gives them."""
        values = {str(i): text for i, text in enumerate(route.captures, 1)} | dict(route.places)
        values |= {"device": route.device, "source": route.source, "field": "{field}"}
        name = "/".join(one for one in expand(self.field, values).split("/") if one)
        if "{field}" in name:
            return [one._replace(field=name.replace("{field}", one.field)) for one in samples]
        return [
            one._replace(field=name if one.field == BARE else f"{name}/{one.field}")
            for one in samples
        ]


def identifier_of(device: Device, scope: Scope | None = None, pattern: str = "") -> Identifier:
    """Return what identifies the messages of a connection, or of one of its filters."""
    scope = scope or Scope()
    patterns = [pattern or device.topic]
    patterns += [rules.topic for rules in device.channels.values()]
    patterns += [rules.topic for rules in scope.channels.values()]
    patterns.append(scope.field)
    only = {**device.only, **scope.only}
    return Identifier(device.name, scope.device or device.device, patterns, device.names, only)


def message_paths(
    device: Device, default: Decoder | None, bus: Bus, on_fault: Callable[[Fault], None]
) -> list[MessagePath]:
    """Return how the messages of each filter are read; none if the connection has no filters."""
    config = device.reader_config
    filters: Sequence[object] = getattr(config, getattr(config, "SCOPED_BY", ""), ())
    scopes = device.scopes or (Scope(),) * len(filters)
    paths = []
    for one, scope in zip(filters, scopes, strict=True):
        decoder = default
        if scope.decoder:
            found = decoders.find(scope.decoder)
            assert found is not None, "checked with the configuration"
            decoder = found.create(scope.decoder_config)
        maker = TapMaker(device, decoder, bus, on_fault, scope)
        identifier = identifier_of(device, scope, getattr(one, "topic", ""))
        paths.append(MessagePath(decoder, maker, identifier, scope.field))
    return paths
