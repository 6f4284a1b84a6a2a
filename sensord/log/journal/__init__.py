"""The journal: the log on disk, in files that other tools open as they are.

`Writer` accepts commits and survives disk failures; `Reader` returns readings, with every hole
named. Both are synchronous and know no loop and no clock. `docs/journal.md` is normative for the
format.
"""

from sensord.log.journal.damage import Damage, Ledger, Losses
from sensord.log.journal.fetch import ChannelFor
from sensord.log.journal.options import Options
from sensord.log.journal.reader import Reader
from sensord.log.journal.recovery import Recovery
from sensord.log.journal.registry import Hole
from sensord.log.journal.scan import Scan
from sensord.log.journal.statistics import (
    State,
    Statistics,
    forecast_bytes_per_day,
    forecast_days_kept,
)
from sensord.log.journal.takeover import Takeover, first_offset
from sensord.log.journal.wear import MEASURED_US, WearMeter, years_left
from sensord.log.journal.writer import Commit, Writer
from sensord.mcap.batch import Batch
from sensord.mcap.channels import Described

__all__ = [
    "MEASURED_US",
    "Batch",
    "ChannelFor",
    "Commit",
    "Damage",
    "Described",
    "Hole",
    "Ledger",
    "Losses",
    "Options",
    "Reader",
    "Recovery",
    "Scan",
    "State",
    "Statistics",
    "Takeover",
    "WearMeter",
    "Writer",
    "first_offset",
    "forecast_bytes_per_day",
    "forecast_days_kept",
    "years_left",
]
