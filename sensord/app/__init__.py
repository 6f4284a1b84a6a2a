"""The application: builds every part of the daemon, joins them, and stops them in order."""

from __future__ import annotations

from sensord.app.daemon import App, run

__all__ = ["App", "run", "tune"]
