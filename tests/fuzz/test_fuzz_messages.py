"""A short run of the fuzzer, with another seed each time; `fuzz_messages.py` runs for longer."""

from __future__ import annotations

import random

from tests.fuzz.fuzz_messages import fuzz
from tests.fuzz.mutation import Mutator
from tests.kit.loops import on_each_loop

MESSAGES = 20_000

GROWTH_BYTES = 12_000_000
"""A fifth into so short a run not every table has its size yet; a long one stays within less."""


@on_each_loop
async def test_no_message_fails_the_server_or_harms_another_session() -> None:
    """What the good monitors get, that no session fails, what is answered: `fuzz` looks at it."""
    seed = random.getrandbits(32)
    try:
        outcome = await fuzz(MESSAGES, seed)
    except BaseException:
        print(f"to see it again: python -m tests.fuzz.fuzz_messages --seed {seed}")  # noqa: T201  # for the report
        raise
    assert outcome.failures == 0
    assert outcome.rss_after - outcome.rss_before < GROWTH_BYTES
    # It is no test of the first refusal only: good requests get through, and all kinds of answers.
    assert {"frame", "result", "stream", "channels", "end"} <= set(outcome.answers)
    assert {"error bad_message", "error bad_request", "error unknown_op"} <= set(outcome.answers)


def test_the_same_seed_makes_the_same_messages() -> None:
    """A run that found something can be repeated."""

    def some(seed: int) -> list[bytes]:
        mutator = Mutator(seed)
        return [mutator.payload(mutator.message(), is_text=i % 2 == 0) for i in range(500)]

    assert some(7) == some(7) != some(8)
