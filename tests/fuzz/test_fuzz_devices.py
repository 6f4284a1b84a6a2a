"""A short run of the fuzzer of devices; `fuzz_devices.py` runs for longer."""

from __future__ import annotations

import random

from tests.fuzz.fuzz_devices import bits_of_checksum, fuzz, sources

FRAMES = 6000

ALLOWED = {16: 0.02, 8: 0.05, 6: 0.10}
"""Of damaged samples: what chance lets pass, by the bits of the checksum, in so short a run. A long
one stays far below."""


def test_damage_raises_nothing_passes_no_checksum_and_costs_one_sample() -> None:
    """Every shipped profile and every family, with another seed each time."""
    seed = random.getrandbits(32)
    try:
        outcome = fuzz(FRAMES, seed)
    except BaseException:
        print(f"to see it again: python -m tests.fuzz.fuzz_devices --seed {seed}")  # noqa: T201  # for the report
        raise
    bits = {one.name: bits_of_checksum(one.device) for one in sources()}
    assert len(outcome.tried) >= 15
    for name, tried in outcome.tried.items():
        assert outcome.damaged_used[name] <= max(2, ALLOWED[bits[name]] * tried), (name, seed)
        assert not outcome.not_found[name], (name, seed)
