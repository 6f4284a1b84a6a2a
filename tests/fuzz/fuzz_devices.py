"""Damage what devices send, and see what their framings and decoders make of it.

Every shipped profile and every family of tests/field is a source. Each round damages one of its
samples, lets whole ones follow, and looks at three things: that nothing raises, that of a device
with a checksum no damaged message is used, and that at most one whole sample is lost afterwards.

python -m tests.fuzz.fuzz_devices --frames 1000000
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sensord import profiles
from sensord.config.tree import Device
from sensord.decode import registry
from sensord.decode.base import Decoder, Sourced
from sensord.decode.framing import framer_of
from sensord.trial.bench import device_of
from tests.field.families import FAMILIES, FOLDER, devices

__all__ = ["Outcome", "fuzz", "sources"]

WHOLE = 2
"""Samples that follow a damaged one; the last must be found."""


class Source(NamedTuple):
    """A device, and what it sends: a stream, or messages with their topics."""

    name: str
    device: Device
    streams: tuple[bytes, ...]
    messages: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Outcome:
    """What was seen, by source."""

    frames: int = 0
    damaged_used: Counter[str] = field(default_factory=Counter)
    """Rounds in which a message that no whole sample holds gave values, despite a checksum."""
    not_found: Counter[str] = field(default_factory=Counter)
    """Rounds in which the whole samples behind the damaged one were not found."""
    tried: Counter[str] = field(default_factory=Counter)


def sources() -> Iterator[Source]:
    """Yield every profile and every family that a damaged sample can be made for."""
    for name in profiles.names():
        profile = profiles.find(name)
        good = [one for one in profile.samples if not one.faults]
        streams = tuple(one.data for one in good if one.data)
        messages = tuple(message for one in good for message in one.messages)
        yield Source(name, device_of(profile), streams, messages)
    for name in FAMILIES:
        sample = FOLDER / name / "sample.bin"
        for device in devices(name) if sample.is_file() else ():
            yield Source(f"field/{name}", device, (sample.read_bytes(),), ())


def bits_of_checksum(device: Device) -> int:
    """Return how many bits protect a message; 0 for none."""
    framing = device.framing
    if framing.type == "mixed":
        return 0  # of its lines, which are not protected
    if framing.type == "sml":
        return 16
    check = getattr(framing, "checksum", None)
    if check is None:
        return 0
    return 6 if check.type.startswith("sum6") else 16 if "16" in check.type else 8


def fuzz(frames: int, seed: int) -> Outcome:
    """Damage so many samples.

    Raises:
        Exception: Whatever a framer or decoder raised: it may raise nothing.
    """
    chance, outcome = random.Random(seed), Outcome()
    known = [one for one in sources() if one.streams or one.messages]
    while outcome.frames < frames:
        for source in known:
            outcome.frames += 1
            if source.streams:
                _stream(source, chance, outcome)
            else:
                _message(source, chance)
    return outcome


def _stream(source: Source, chance: random.Random, outcome: Outcome) -> None:
    device = source.device
    if not device.decoder:
        return  # Modbus, which has a test of its own
    good = chance.choice(source.streams)
    decoder = _decoder(device)
    protected = bits_of_checksum(device)
    whole = set(framer_of(device.framing).feed(good + good).messages)
    framer = framer_of(device.framing)
    # Behind whole samples, so that no framing is still looking for its first beginning.
    framer.feed(good)
    found = framer.feed(damaged(good, chance) + WHOLE * good + _filler(device)).messages
    read = {message: decoder.decode(message).samples for message in found}
    if protected:
        outcome.tried[source.name] += 1
        used = any(samples for message, samples in read.items() if message not in whole)
        outcome.damaged_used[source.name] += used
        last = framer_of(device.framing).feed(good + good).messages[-1:]
        outcome.not_found[source.name] += bool(last) and last[0] not in found


def _filler(device: Device) -> bytes:
    """Return what makes a framer decide on all that it holds."""
    return bytes(getattr(device.framing, "max_bytes", 1024) + 64) + b"\n"


def _message(source: Source, chance: random.Random) -> None:
    topic, payload = chance.choice(source.messages)
    scopes = [one for one in source.device.scopes if one.decoder]
    kinds = [(one.decoder, one.decoder_config) for one in scopes]
    kinds += [(source.device.decoder, source.device.decoder_config)] * bool(source.device.decoder)
    name, config = chance.choice(kinds)
    found = registry.find(name)
    assert found is not None
    decoder = found.create(config)
    able: object = decoder
    for part in (payload, damaged(payload, chance), payload):
        if isinstance(able, Sourced):
            able.decode_from(topic, part)
        else:
            decoder.decode(part)


def _decoder(device: Device) -> Decoder:
    found = registry.find(device.decoder)
    assert found is not None
    return found.create(device.decoder_config)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one kind of damage."""
    out = bytearray(data)
    at = chance.randrange(len(out))
    match chance.randrange(6):
        case 0:
            out[at] ^= 1 << chance.randrange(8)
        case 1:
            out[at] = chance.randrange(256)
        case 2:
            out.insert(at, chance.randrange(256))
        case 3:
            del out[at]
        case 4:
            del out[at:]
        case _:
            out[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(out)


def main() -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = fuzz(options.frames, options.seed)
    out = sys.stdout.write
    out(f"{outcome.frames} damaged samples, nothing raised\n")
    for name, count in sorted(outcome.tried.items()):
        used, lost = outcome.damaged_used[name], outcome.not_found[name]
        out(f"{name:24} {count:8} damaged, {used:5} used, {lost:5} whole ones not found\n")


if __name__ == "__main__":
    main()
