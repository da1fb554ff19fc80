"""Pictures of the tour: a terminal as SVG, pages as small PNGs."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from tests.browser import Page

MAX_BYTES = 150_000
"""A picture belongs to the repository for ever."""

_REDRAW = re.compile(r"\r?(?:\x1b\[2K(?:\x1b\[1A)?)+|\x1b\[\?25[hl]")
"""What Rich's live display sends before it draws itself again."""


def frames(stream: str) -> list[str]:
    """What a live display drew, one text a frame, colours kept."""
    return [frame.strip("\r\n") for frame in _REDRAW.split(stream) if frame.strip()]


def terminal_svg(frame: str, path: Path, *, title: str, columns: int) -> None:
    """Write a frame of a terminal as an SVG that loads nothing."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(frame), no_wrap=True, crop=True)
    # The template's font would be fetched from a server.
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title=title, code_format=template, unique_id="terminal")
    ElementTree.fromstring(svg)  # noqa: S314 -- just made here
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
    _check_size(path)


def element_png(page: Page, selector: str, path: Path, *, max_height: int = 900) -> None:
    """Write an element of a page, as far down as `max_height` CSS pixels, as a PNG.

    Raises:
        LookupError: The page has no such element.
    """
    found = page.evaluate(
        f"(() => {{ const e = document.querySelector({selector!r}); if (!e) return null;"
        " const r = e.getBoundingClientRect();"
        " return [r.x + scrollX, r.y + scrollY, r.width, r.height]; })()"
    )
    if found is None:
        raise LookupError(f"the page has no {selector}")
    x, y, width, height = found
    shown = min(height, max_height)
    clip = {"x": x - 12, "y": y - 12, "width": width + 24, "height": shown + 24, "scale": 1}
    write_png(page, path, clip)


def write_png(page: Page, path: Path, clip: dict[str, Any]) -> None:
    """Write a part of a page as a PNG of few colours."""
    shot = page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    for colours in (256, 128, 64, 32):
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            break
    _check_size(path)


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are kept")
