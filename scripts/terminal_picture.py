"""Make docs/monitor.svg: `sensord monitor` on the demo, as its terminal shows it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.kit.terminal import Terminal  # noqa: E402  # the path comes first

COLUMNS, LINES, WIDTH, HEIGHT = 100, 18, 8.4, 18
WATCHED_S = 75.0
"""How long values come before the picture is made: there is something to draw."""

COLOURS = {
    "default": "#d8dee9",
    "green": "#a3be8c",
    "red": "#e06c75",
    "brown": "#ebcb8b",
    "cyan": "#88c0d0",
}
BACK, DIM = "#20242c", "#8a93a5"


def svg(screen: pyte.Screen) -> str:
    """Draw a screen."""
    width, height = COLUMNS * WIDTH + 24, LINES * HEIGHT + 24
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">'
        ),
        f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>',
    ]
    for line in range(LINES):
        parts += _line(screen, line)
    return "\n".join([*parts, "</svg>\n"])


def _line(screen: pyte.Screen, line: int) -> list[str]:
    """Draw the runs of cells that look the same."""
    parts: list[str] = []
    cells = [screen.buffer[line][column] for column in range(COLUMNS)]
    begin, y = 0, 12 + line * HEIGHT
    while begin < COLUMNS:
        first, end = cells[begin], begin
        looks = (first.fg, first.bold, first.reverse)
        while end < COLUMNS and (cells[end].fg, cells[end].bold, cells[end].reverse) == looks:
            end += 1
        text = "".join(cell.data for cell in cells[begin:end])
        x, length = 12 + begin * WIDTH, (end - begin) * WIDTH
        colour = COLOURS.get(first.fg, COLOURS["default"])
        if first.reverse:
            parts.append(
                f'<rect x="{x:g}" y="{y}" width="{length:g}" height="{HEIGHT}" fill="#4c566a"/>'
            )
        if text.strip():
            weight = ' font-weight="bold"' if first.bold else ""
            shown = html.escape(text).replace(" ", "&#160;")
            parts.append(
                f'<text x="{x:g}" y="{y + 14}" fill="{colour}"{weight}'
                f' textLength="{length:g}" lengthAdjust="spacingAndGlyphs">{shown}</text>'
            )
        begin = end
    return parts


def main() -> None:
    """Run the demo and the monitor, and draw what it shows."""
    command = [sys.executable, "-m", "sensord", "demo", "--listen", "127.0.0.1:0", "--for", "150s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as demo:
        assert demo.stdout is not None
        page = next(
            found[1] for line in demo.stdout if (found := re.search(r"http://(\S+?)/", line))
        )
        with Terminal(["monitor", "--url", page], COLUMNS, LINES) as terminal:
            time.sleep(WATCHED_S)
            terminal.press("jj")
            time.sleep(2)
            picture = svg(terminal._screen)  # noqa: SLF001  # the cells with their colours
            terminal.press("q")
            terminal.wait()
        demo.terminate()
    (ROOT / "docs" / "monitor.svg").write_text(picture)


if __name__ == "__main__":
    main()
