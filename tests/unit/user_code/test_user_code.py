"""A user's data module does what it likes in its own process: nothing of it reaches ours."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
import pytest
import torch

from archsearch.data import DataSpec, PreparedData, prepare
from archsearch.errors import UnfitError, UsageError
from archsearch.user_code import call_in_process

REST = """
import os
import numpy as np

class Tiny:
    classes = ("a", "b", "c")
    def __len__(self): return 60
    def __getitem__(self, i):
        if i >= 60: raise IndexError(i)
        return np.full((4, 4, 3), 60 * (i % 3) + i, np.uint8), i % 3

def load(): return Tiny(), Tiny()
"""


class Write(Protocol):
    """Writes `tiny.py`: what is given, and a small data set between its two parts."""

    def __call__(self, first: str, last: str = "") -> None: ...


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `tiny.py` into an empty current folder: what is given, and a small data set."""
    monkeypatch.chdir(tmp_path)

    def write_module(first: str, last: str = "") -> None:
        content = textwrap.dedent(first) + REST + textwrap.dedent(last)
        (tmp_path / "tiny.py").write_text(content)

    return write_module


def prepared() -> PreparedData:
    return prepare(DataSpec(name="tiny.py:load"), cache_dir=Path("cache"))


def imported() -> Any:
    """What `ANSWER` of the module is; quicker than data."""
    arguments = {"reference": "tiny.py:ANSWER", "subject": "--data tiny.py"}
    return call_in_process("archsearch.user_code:load_named", arguments, subject="--data tiny.py")


def state() -> dict[str, Any]:
    """What a module could have changed of this process."""
    return {
        "folder": Path.cwd(),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "arguments": list(sys.argv),
        "recursion": sys.getrecursionlimit(),
        "streams": (sys.stdout, sys.stderr, sys.stdout.closed),
        "hook": sys.excepthook,
        "filters": list(warnings.filters),
        "handlers": (list(logging.root.handlers), logging.root.level),
        "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "torch": (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "numpy": np.geterr(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "socket": socket.getdefaulttimeout(),
        "modules": {name for name in sys.modules if "tiny" in name},
        "children": psutil.Process().children(recursive=True),
    }


DISTURBANCES = {
    "plain": "",
    "everything at once": """
        import logging, os, resource, signal, socket, sys, tempfile, threading, time, warnings
        import numpy, torch
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.set_num_threads(64)
        torch.use_deterministic_algorithms(True)
        numpy.seterr(all="raise")
        warnings.simplefilter("error")
        logging.basicConfig(level=10)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        socket.setdefaulttimeout(0.001)
        threading.Thread(target=lambda: time.sleep(600)).start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        os.environ.clear()
        os.environ.update(HOME="/nonexistent", TMPDIR="/nonexistent", MLFLOW_TRACKING_URI="x")
        os.chdir(tempfile.mkdtemp())
        os.rmdir(os.getcwd())
        sys.setrecursionlimit(400)
        sys.excepthook = lambda *a: os._exit(0)
        sys.argv = ["x"]
        sys.path[:] = [p for p in sys.path if "python" in p]
        sys.stdout.close()
        """,
    "a process that goes on": """
        import subprocess
        subprocess.Popen(["sleep", "600"])
        """,
    "a copy of its process that goes on": "import os; os.fork()",
    "a fork that fills its own copy": """
        import os
        if os.fork() == 0:
            os._exit(3)
        """,
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_nothing_that_a_module_does_reaches_this_process(write: Write, disturbance: str) -> None:
    write(DISTURBANCES[disturbance])
    before = state()
    data = prepared()
    assert state() == before
    assert (data.num_train, data.num_val, data.num_test) == (54, 6, 60)
    assert Path(data.path).parent == Path("cache").absolute()


ENDINGS = [
    ("os._exit(0)", "its code ended its process (exit code 0) before it was done"),
    ("os._exit(7)", "its code ended its process (exit code 7)"),
    ("import sys; sys.exit('bye')", "it raises SystemExit: bye (tiny.py"),
    ("os.kill(os.getpid(), 9)", "its code was killed. The system does that when memory runs out"),
    ("os.kill(os.getpid(), 11)", "the process that runs its code was ended by SIGSEGV"),
    ("import signal; signal.alarm(1); signal.pause()", "was ended by SIGALRM"),
    ("raise KeyboardInterrupt", "it fails by KeyboardInterrupt"),
    ("os.closerange(3, 200)", "its code ended its process (exit code 0)"),
    ("raise MemoryError", "it raises MemoryError (tiny.py"),
    ("import resource; resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32)); bytearray(2**33)",
     "it raises MemoryError (tiny.py"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "sentence"), ENDINGS)
def test_a_process_that_ends_otherwise_is_told(write: Write, code: str, sentence: str) -> None:
    write(f"import os\n{code}\nANSWER = 3\n")
    with pytest.raises(UnfitError) as refusal:
        imported()
    said = str(refusal.value).replace(str(Path.cwd()) + "/", "")
    assert said.startswith("--data tiny.py: ")
    assert sentence in said


def test_what_it_raises_shows_the_lines_of_its_own(write: Write) -> None:
    write("""
        def inner():
            import json
            return json.loads("{")

        def outer():
            return inner()

        outer()
        """)
    with pytest.raises(UnfitError) as refusal:
        imported()
    said = str(refusal.value)
    assert "tiny.py cannot be imported: it raises JSONDecodeError: " in said
    assert [line.strip() for line in said.splitlines() if "File" not in line][1:] == [
        "outer()",
        "return inner()",
        'return json.loads("{")',
    ]
    assert "site-packages" not in said
    assert "archsearch/" not in said


def test_a_package_without_the_module_is_a_wrong_name_and_is_not_imported_here(
    write: Write,
) -> None:
    write("")
    Path("zoo").mkdir()
    Path("zoo/__init__.py").write_text("print('imported')\n")
    with pytest.raises(UsageError, match=r"there is no module zoo.animals here"):
        prepare(DataSpec(name="zoo.animals:load"), cache_dir=Path("cache"))
    assert "zoo" not in sys.modules


def test_answers_are_json_alone() -> None:
    with pytest.raises(UnfitError, match="x: it fails by TypeError"):
        call_in_process("json:loads", {"s": 3}, subject="x")
    assert call_in_process("json:loads", {"s": '{"a": [1]}'}, subject="x") == {"a": [1]}


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is ignored
from pathlib import Path
from archsearch.driver.signals import Interruption
from archsearch.user_code import call_in_process
with Interruption():
    arguments = {"reference": "tiny.py:ANSWER", "subject": "x"}
    call_in_process("archsearch.user_code:load_named", arguments, subject="x")
"""
PLAIN = COMMAND.replace("with Interruption():", "if True:")


@pytest.mark.parametrize(
    ("command", "number", "said"),
    [
        (COMMAND, signal.SIGINT, "interrupted; the same command continues"),
        (COMMAND, signal.SIGTERM, "interrupted; the same command continues"),
        (PLAIN, signal.SIGTERM, ""),
        (PLAIN, signal.SIGKILL, ""),
    ],
)
def test_a_signal_ends_it_and_its_children_even_when_it_swallows_all(
    write: Write, command: str, number: int, said: str
) -> None:
    write("""
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        other = subprocess.Popen(["sleep", "600"])
        print("BEGUN", os.getpid(), other.pid, file=sys.stderr, flush=True)
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
        """)
    begin = [sys.executable, "-c", command]
    with subprocess.Popen(begin, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        begun = next(line for line in driver.stderr if line.startswith("BEGUN"))
        processes = [psutil.Process(int(word)) for word in begun.split()[1:]]
        driver.send_signal(number)
        driver.wait(60)
        if number == signal.SIGKILL:  # nobody is left to end what the process has begun
            processes.pop().kill()
        _, alive = psutil.wait_procs(processes, timeout=30)
        assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
        assert said in driver.stderr.read()


def test_lines_of_json_on_standard_output_stay_alone(write: Write) -> None:
    write("print('from the module')\n", "def load(): print('from load'); return Tiny(), Tiny()\n")
    words = ["--data", "tiny.py:load", "--epochs", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train", "WRN-10-1", *words],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["epoch", "trained"]
    assert "from the module" in done.stderr
    assert "from load" in done.stderr
