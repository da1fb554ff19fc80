"""What a search does on signals: once means finish the epochs, urgent ones mean now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from archsearch.driver.signals import InterruptedSearchError, Interruption
from archsearch.search.run_state import RunState, StoppedWhileWaitingError

URGENT = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals as a shell gives them to a program, and as they were afterwards."""
    former = {number: signal.signal(number, signal.SIG_DFL) for number in URGENT}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", URGENT)
def test_an_urgent_signal_stops_at_once(number: signal.Signals) -> None:
    told: list[str] = []
    with Interruption() as interruption:
        interruption.attach(lambda: told.append("drain"), lambda: told.append("stop"))
        os.kill(os.getpid(), number)
        assert told == ["stop"]
    assert (interruption.exit_code, interruption.is_urgent) == (143, True)


def test_ctrl_c_drains_once_and_stops_when_it_comes_again() -> None:
    told: list[str] = []
    with Interruption() as interruption:
        interruption.attach(lambda: told.append("drain"), lambda: told.append("stop"))
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert told == ["drain", "stop"]
    assert interruption.exit_code == 130


def test_a_signal_before_there_is_a_search_ends_the_command() -> None:
    with Interruption(), pytest.raises(InterruptedSearchError) as caught:
        os.kill(os.getpid(), signal.SIGHUP)
    assert caught.value.exit_code == 143


def test_former_handlers_come_back() -> None:
    with Interruption():
        pass
    assert [signal.getsignal(number) for number in URGENT] == [signal.SIG_DFL] * len(URGENT)


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    script = (
        "import os, signal\n"
        "from archsearch.driver.signals import Interruption\n"
        "with Interruption() as interruption:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "print(interruption.exit_code)\n"
    )
    done = subprocess.run(
        ["nohup", sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "None", done.stderr


def test_a_wait_for_others_is_left_at_once_and_what_follows_is_not() -> None:
    run_state = RunState(None)  # type: ignore[arg-type]  # nothing is asked of the director
    with pytest.raises(StoppedWhileWaitingError), run_state.waiting():
        run_state.stop()
    assert run_state.stop_now
    run_state.stop()
    with pytest.raises(StoppedWhileWaitingError), run_state.waiting():
        pytest.fail("a run that was stopped waits for nobody")
