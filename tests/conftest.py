"""Fail each test that leaves a descriptor, a thread or a process behind.

What one test leaves is met by another one much later: with 1,024 descriptors `select` fails, and
nobody knows whose they are. Fixtures of a module's scope may therefore hold none of the three.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.kit.leftovers import Held, held, left_behind

# A busy machine is no fault of an example's. The rest is Hypothesis' choice: the same examples each
# time where the variable CI is set, others each time elsewhere.
settings.register_profile(
    "sensord",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("sensord"), max_examples=3000)
settings.load_profile("sensord")

# Local times are those of UTC on any machine; a test of zones sets its own.
os.environ["TZ"] = "UTC"
time.tzset()

BEFORE = pytest.StashKey[Held]()
HAS_FAILED = pytest.StashKey[bool]()


def pytest_sessionstart() -> None:
    """Let libuv open what it keeps for good, and let Ctrl-C reach what tests start.

    A shell has what it runs in the background ignore it, and so would all that comes from there.
    """
    uvloop.new_event_loop().close()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    item.stash[BEFORE] = held()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # What failed may have been stopped anywhere, and its traceback keeps things alive.
    item.stash[HAS_FAILED] = item.stash.get(HAS_FAILED, False) or not report.passed
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    yield
    if not item.stash.get(HAS_FAILED, True):
        left = left_behind(item.stash[BEFORE])
        assert not left, "left behind: " + "; ".join(left)
