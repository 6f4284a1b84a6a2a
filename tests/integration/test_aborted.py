"""After the watchdog, the next start shows what the daemon hung in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.kit.daemon import Daemon, sensord


def test_the_start_after_an_abort_shows_why(tmp_path: Path) -> None:
    """In the log, under ``$sys`` and in the verdict; after an orderly stop there is nothing."""
    under = ["env", f"STATE_DIRECTORY={tmp_path}"]
    with Daemon(tmp_path, "", under=under) as daemon:
        os.kill(daemon.pid, signal.SIGABRT)
        daemon.wait()
        daemon.start()
        assert "in run" in daemon.wait_for_log("the run before was aborted")
        status = sensord("status", "--url", daemon.url)
        assert "did not answer the watchdog" in status.stdout
        assert status.returncode == 1
        daemon.stop()
        daemon.start()
        assert "aborted" not in "".join(daemon.log)
        assert sensord("status", "--url", daemon.url).returncode == 0
        daemon.stop()
