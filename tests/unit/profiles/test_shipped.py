"""Every profile that is shipped reads its samples as expected."""

from __future__ import annotations

import pytest

from sensord import profiles
from sensord.trial.bench import Bench, Outcome, device_of
from sensord.trial.profiles import check


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_reads_its_samples(name: str) -> None:
    """Values, units, qualities and faults."""
    profile = profiles.find(name)
    assert list(check(profile)) == []
    assert profile.title
    assert profile.source, "it says where its facts are from"


def checked_names() -> list[str]:
    """Return the profiles of devices that send a checksum which finds every single bit."""
    found = []
    for name in profiles.names():
        framing = device_of(profiles.find(name)).framing
        check = getattr(framing, "checksum", None)
        # Linky's covers six bits of each byte; the line has parity beside it.
        if framing.type == "sml" or (check is not None and check.type != "sum6_linky"):
            found.append(name)
    return found


@pytest.mark.parametrize("name", checked_names())
def test_a_checksum_that_a_device_sends_is_checked_on_a_damaged_sample(name: str) -> None:
    """Each bit of the sample is flipped in turn: nothing else comes out than before."""
    profile = profiles.find(name)
    good = {repr(one.value) for s in profile.samples for one in _outcomes(profile, s.data)}
    data = next(one.data for one in profile.samples if not one.faults)
    for bit in range(0, 8 * len(data), 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        bench = Bench(device_of(profile))
        bench.stream(bytes(damaged))
        assert {repr(one.value) for one in bench.outcomes()} <= good, f"bit {bit}"


def _outcomes(profile: profiles.Profile, data: bytes) -> list[Outcome]:
    bench = Bench(device_of(profile))
    bench.stream(data)
    return bench.outcomes()
