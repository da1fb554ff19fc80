"""`make tour`: runs the commands of docs/tour.md, renews what it shows of their output.

The commands run in build/tour, in the order of the text, as a reader would type them: the search
in a terminal of its own, so that its live table can be kept. A block of language `text` after
`<!-- output -->` shows what the command before it printed; `<!-- output from "A" to "B" -->` only
the lines from the first that holds A to the next one that holds B.

Takes as long as the search, and needs Chromium for the pages. A second call continues where the
first was interrupted; `--fresh` begins again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from tour_pictures import element_png, frames, terminal_svg, write_png

REPOSITORY = Path(__file__).parents[1]
TOUR = REPOSITORY / "docs" / "tour.md"
PICTURES = REPOSITORY / "docs" / "pictures"
FOLDER = REPOSITORY / "build" / "tour"
SEARCH = "tour"
COLUMNS, ROWS = 120, 40
PAGE_WIDTH = 1000
SHOWN_SHARE = 0.7
"""The live table is kept from the moment when this share of the trials has ended."""

BLOCK = re.compile(
    r"^```(?P<language>sh|python|yaml)\n(?P<code>.*?)^```$"
    r"|^<!-- output(?: from \"(?P<first>[^\"]+)\")?(?: to \"(?P<last>[^\"]+)\")? -->\n"
    r"```text\n(?P<shown>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


def main() -> None:
    """Run the commands, take the pictures, write the text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="begin again")
    if parser.parse_args().fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    output = ""

    def renewed(block: re.Match[str]) -> str:
        nonlocal output
        if block["language"] == "python":
            output = run([sys.executable, "-c", block["code"]])
        elif block["language"] == "yaml":  # a file, named by its first line
            name, _, text = block["code"].removeprefix("# ").partition("\n")
            (FOLDER / name).write_text(text)
        elif block["language"] == "sh":
            output = "".join(run_line(line) for line in block["code"].splitlines())
        else:
            shown = excerpt(output, block["first"], block["last"])
            head, fence, _ = block[0].partition("```text\n")
            return f"{head}{fence}{shown}```"
        return block[0]

    TOUR.write_text(BLOCK.sub(renewed, TOUR.read_text()))
    print(f"{TOUR.relative_to(REPOSITORY)} and its pictures are new")


def run_line(line: str) -> str:
    """Run one line of the tour, and take the pictures that belong to it."""
    command = line.partition("#")[0].strip()
    words = command.split()
    if words[:3] == ["python", "-m", "pipeline.ui"]:
        tracking_pictures()
        return ""
    print(f"$ {command}", flush=True)
    if words[:3] != ["python", "-m", "pipeline.search"]:
        printed = run([sys.executable, *words[1:]])
        if words[2] == "pipeline.report":
            report_pictures()
        return printed
    stream = run_in_terminal([sys.executable, *words[1:]])
    (FOLDER / "search.terminal").write_text(stream)
    live_picture(stream, command)
    return run([sys.executable, *words[1:]])  # a finished search prints its result


def run(command: list[str]) -> str:
    """What a command prints.

    Raises:
        SystemExit: It fails.
    """
    done = subprocess.run(
        command, cwd=FOLDER, env=environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


def run_in_terminal(command: list[str]) -> str:
    """All that a command writes to a terminal of its own, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, cwd=FOLDER, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    received = bytearray()
    with contextlib.suppress(OSError):  # Linux tells so that the other side is closed
        while part := os.read(ours, 1 << 16):
            received += part
    os.close(ours)
    printed = received.decode().replace("\r\n", "\n")
    if process.wait():
        sys.exit(f"{printed}\n{' '.join(command)}: exit code {process.returncode}")
    return printed


def environment() -> dict[str, str]:
    """The caller's, without what would point commands at other stores."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "ARCHSEARCH_"))}
    return kept | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}


def excerpt(output: str, first: str | None, last: str | None) -> str:
    """The lines of an output that a block shows, without this machine's folder."""
    here = (f"{FOLDER}/", f'PATH={Path(sys.executable).parent}:"$PATH" ')
    for machines_own in here:
        output = output.replace(machines_own, "")
    lines = output.replace(f"{sys.executable} ", "python ").splitlines()
    if first is not None:
        lines = lines[next(i for i, line in enumerate(lines) if first in line) :]
    if last is not None:
        lines = lines[: next(i for i, line in enumerate(lines) if last in line) + 1]
    return "".join(f"{line.rstrip()}\n" for line in lines).strip("\n") + "\n"


def live_picture(stream: str, command: str) -> None:
    """Keep the live table of a search that is well under way; a finished one shows none."""
    for frame in frames(stream):
        footer = re.search(r"(\d+) of (\d+) trials\s+ended", frame)
        if footer and int(footer[1]) >= SHOWN_SHARE * int(footer[2]):
            terminal_svg(frame, PICTURES / "live.svg", title=command, columns=COLUMNS)
            return


def report_pictures() -> None:
    """The report's beginning and two of its figures."""
    from tests.browser import browser_page

    with tempfile.TemporaryDirectory() as profile, browser_page(Path(profile)) as page:
        address = (FOLDER / "runs" / SEARCH / "report.html").as_uri()
        page.open(address, width=PAGE_WIDTH, height=1400)
        page.evaluate("document.fonts.ready.then(() => true)")
        clip = {"x": 0, "y": 0, "width": PAGE_WIDTH, "height": 720, "scale": 1}
        write_png(page, PICTURES / "report.png", clip)
        for section in ("verdict", "curves"):
            page.evaluate(f"document.getElementById({section!r}).scrollIntoView()")
            time.sleep(1)  # figures are drawn when they come into view
            element_png(page, f"#{section} figure", PICTURES / f"report-{section}.png")


def tracking_pictures() -> None:
    """MLflow's pages: the search with its trials, and its families by epoch."""
    from archsearch.tracking.views import FAMILIES, view_path
    from tests.browser import browser_page

    with (
        tracking_pages() as address,
        tempfile.TemporaryDirectory() as profile,
        browser_page(Path(profile)) as page,
    ):
        page.open(f"{address}/#/experiments/1/runs", width=1300, height=720)
        page.wait_until(
            lambda: SEARCH in str(page.evaluate("document.body.innerText")), "the runs are listed"
        )
        time.sleep(3)
        # The trials are folded into the search's run; an assistant stands in front of the page.
        page.evaluate(
            "document.querySelectorAll('[aria-label=Close]').forEach(e => e.click());"
            "document.querySelector('[role=row] [role=gridcell] button')?.click()"
        )
        time.sleep(3)
        clip = {"x": 0, "y": 0, "width": 1300, "height": 720, "scale": 1}
        write_png(page, PICTURES / "mlflow-runs.png", clip)
        families = view_path("1", FAMILIES, charts=True)
        page.open("about:blank", width=1300, height=720)
        page.open(f"{address}{families}", width=1300, height=720)
        drawn = "document.querySelectorAll('.main-svg').length"
        page.wait_until(lambda: page.evaluate(drawn) >= 3, "charts are drawn")
        time.sleep(5)
        page.evaluate("document.querySelectorAll('[aria-label=Close]').forEach(e => e.click())")
        time.sleep(1)
        write_png(page, PICTURES / "mlflow-families.png", clip)


@contextlib.contextmanager
def tracking_pages() -> Iterator[str]:
    """`pipeline.ui` on a free port; ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.ui", "--port", str(port)],
        cwd=FOLDER,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not any("Ctrl-C" in line for line in process.stdout):
            sys.exit("pipeline.ui did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
