"""The commands: parse, call, print.

`python -m` puts the working folder before all places that modules are imported from: a
`secrets.py`, a `random.py` or a folder `torch` of the user's would be taken for the library's.
PYTHONWARNINGS=error, which is for who develops a program, makes errors of what libraries warn of.
PYTHONOPTIMIZE=2 takes away docstrings that Ray and SQLAlchemy work with. All of it is undone here,
before anything is imported, for `python -m pipeline.COMMAND` alone.
"""

import os
import sys
import warnings


def _leave_the_working_folder_out() -> None:
    first = sys.path.pop(0)
    # Not by pathlib: a module of its name could lie in the working folder.
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if first == home and home not in sys.path:  # called in the folder of the sources
        sys.path.append(home)


def _let_warnings_be_warnings() -> None:
    given = os.environ.pop("PYTHONWARNINGS", None)
    if any(option.startswith("e") for option in sys.warnoptions):
        sys.warnoptions.clear()
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        told = "-W error" if given is None else f"PYTHONWARNINGS={given}"
        print(f"{told} is passed over: libraries warn of what is no error here", file=sys.stderr)


def _keep_docstrings() -> None:
    if sys.flags.optimize < 2:
        return
    given = os.environ.pop("PYTHONOPTIMIZE", None)
    if given is None:
        print(
            "error: -OO takes docstrings away that libraries need: leave it out", file=sys.stderr
        )
        sys.exit(2)
    told = f"PYTHONOPTIMIZE={given} is passed over: libraries need their docstrings"
    print(told, file=sys.stderr, flush=True)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 -- this very command, once more


if sys.argv[:1] == ["-m"]:  # Python's own mark while it looks for the module
    _keep_docstrings()
    if not sys.flags.safe_path:
        _leave_the_working_folder_out()
    _let_warnings_be_warnings()
