"""Files that are damaged, cut off, gone, or older than their neighbours."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from archsearch.driver.run import TrialRunner
from archsearch.engine.in_process import run_in_process
from archsearch.record.paths import SearchPaths
from archsearch.search.request import SearchRequest
from archsearch.storage import LocalPath
from archsearch.training.checkpoint_file import newest_valid, read_header
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import End, Steps, start
from tests.chaos.fault_table import Account, FaultTable, Snapshot, account_of, snapshot

Damage = Callable[[Path], None]


def cut_at(share: float) -> Damage:
    """Truncate a file to a share of it."""

    def damage(path: Path) -> None:
        with path.open("r+b") as handle:
            handle.truncate(int(path.stat().st_size * share))

    return damage


def overwrite_at(share: float, new: bytes | None = None) -> Damage:
    """Write over the bytes at a share of a file; one flipped bit if no bytes are given."""

    def damage(path: Path) -> None:
        with path.open("r+b") as handle:
            handle.seek(min(int(path.stat().st_size * share), path.stat().st_size - 1))
            place = handle.tell()
            content = new or bytes([handle.read(1)[0] ^ 0x10])
            handle.seek(place)
            handle.write(content)

    return damage


@dataclass(frozen=True)
class Killed:
    """A search whose driver was killed; put back as it was before each new damage.

    Attributes:
        kept: A copy of its folder that nobody has opened since: the write-ahead log is there.
    """

    request: SearchRequest
    paths: SearchPaths
    kept: Path
    before: Snapshot

    @classmethod
    def at(cls, request: SearchRequest, steps: Steps, runner: TrialRunner | None = None) -> Killed:
        """Run until that step."""
        end = start(request, runner, before=steps.install).wait()
        assert end.code == -signal.SIGKILL, end.told
        (record,) = request.runs_dir.glob("*/search.db")
        kept = request.runs_dir.parent / "kept"
        shutil.copytree(record.parent, kept)
        return cls(request, SearchPaths(record.parent), kept, snapshot(request.runs_dir))

    def put_back(self) -> None:
        """Undo whatever was done to the folder."""
        shutil.rmtree(self.paths.root)
        shutil.copytree(self.kept, self.paths.root)

    def go_on(self, runner: TrialRunner | None = None) -> End:
        """The same command again."""
        return start(self.request, runner).wait()


def test_a_checkpoint_that_is_damaged_at_any_10th_byte_is_passed_over(
    new_request: NewRequest, faults: FaultTable
) -> None:
    request = new_request()
    killed = Killed.at(request, Steps(request.runs_dir, 20, only="commit"))
    folder = Path(str(killed.paths.trial(0).checkpoints))
    newest, previous = sorted(folder.glob("*.ckpt"), reverse=True)[:2]
    digest = read_header(LocalPath(newest)).config_digest
    whole = newest.read_bytes()
    positions = range(0, len(whole), 10)
    for position in positions:
        flipped = bytes([whole[position] ^ 0x01])
        for damaged in (
            whole[:position],
            whole[:position] + flipped + whole[position + 1 :],
        ):
            newest.write_bytes(damaged)
            found = newest_valid(LocalPath(folder), [1], digest)
            assert found.checkpoint is not None
            assert found.checkpoint.path == LocalPath(previous), position
            assert len(found.skipped) == 1
    faults.add(
        "checkpoint-damaged",
        f"every 10th of {len(whole)} bytes, truncated there and flipped there",
        2 * len(positions),
        "passed over each time",
    )


@pytest.mark.parametrize(
    "shares",
    [
        (0.0, 0.55),
        pytest.param(tuple(i / 10 for i in range(11)), marks=pytest.mark.slow),
    ],
    ids=["some", "many"],
)
def test_a_search_goes_on_from_the_checkpoint_before_with_one_warning_and_the_same_numbers(
    shares: tuple[float, ...], training_request: SearchRequest, faults: FaultTable
) -> None:
    request = training_request.model_copy(update={"trials": 1})
    steps = Steps(request.runs_dir, only="commit")
    calm = request.model_copy(update={"name": "calm"})
    end = start(calm, run_in_process, before=steps.install, answer=lambda: str(steps.count)).wait()
    undisturbed = snapshot(request.runs_dir)
    assert undisturbed.recorded.trials[0].outcome == "completed"
    shutil.rmtree(undisturbed.recorded.paths.root)
    # After the last epoch come the search's end and the lease's: its checkpoint is published.
    steps = Steps(request.runs_dir, int(end.told) - 2, only="commit")
    killed = Killed.at(request.model_copy(update={"name": "killed"}), steps, run_in_process)
    assert len(killed.before.recorded.trials[0].epochs) == 2
    newest = max(Path(str(killed.paths.trial(0).checkpoints)).glob("*.ckpt"))
    cost = Account()
    for share in shares:
        for damage in (cut_at(share * 0.999), overwrite_at(share)):
            killed.put_back()
            damage(newest)
            end = killed.go_on(run_in_process)
            assert end.code == 0, end.told
            assert sum("damaged" in w or "not a checkpoint" in w for w in end.warnings) == 1, end
            now = snapshot(request.runs_dir)
            assert now.recorded.table == undisturbed.recorded.table
            cost += account_of([killed.before], now)
    assert (cost.lost, cost.doubled) == (0, 0)
    faults.add(
        "checkpoint-damaged",
        f"a trained network's newest ({newest.stat().st_size:,} bytes), at every tenth of it"
        if len(shares) > 2
        else "a trained network's newest, at its start and its middle",
        2 * len(shares),
        "one warning, the undisturbed numbers to the last bit",
        cost,
    )


def unlink(path: Path) -> None:
    path.unlink()


def as_whole_file(path: Path) -> None:
    """Move what the write-ahead log holds into the file itself, as an orderly end does."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def with_version(version: int) -> Damage:
    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE versions SET version = ?", (version,))
            connection.commit()

    return damage


def damages(many: bool) -> list[tuple[str, str, bool, Damage]]:
    """What is done (by kind), to which file, and whether the log was moved into it before."""
    generator = random.Random(7 if many else 6)
    count = 20 if many else 2
    shares = [(i + 0.5) / count for i in range(count)]

    def anywhere() -> float:
        return generator.random()

    listed: list[tuple[str, str, bool, Damage]] = [
        ("log deleted", "search.db-wal", False, unlink),
        ("record deleted", "search.db", True, unlink),
        ("record emptied", "search.db", True, cut_at(0.0)),
        ("older schema", "search.db", False, with_version(0)),
        ("newer schema", "search.db", False, with_version(999)),
        ("another file", "search.db", True, lambda path: _other_database(path)),
        ("no database", "search.db", True, lambda path: _write(path, b"hello" * 1000)),
    ]
    listed += [("log truncated", "search.db-wal", False, cut_at(share)) for share in shares]
    listed += [("record truncated", "search.db", True, cut_at(share)) for share in shares]
    listed += [
        ("log overwritten", "search.db-wal", False, overwrite_at(share, generator.randbytes(16)))
        for share in shares
    ]
    for _ in shares * 2:
        noise = generator.randbytes(16)
        listed.append(("record overwritten", "search.db", True, overwrite_at(anywhere(), noise)))
    listed += [("bit flipped", "search.db", True, overwrite_at(anywhere())) for _ in shares * 3]
    return listed


def _other_database(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    "many", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_a_damaged_record_is_recovered_or_refused_and_loses_no_trial_in_silence(
    many: bool, new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    request = new_request()
    killed = Killed.at(request, Steps(request.runs_dir, 30, only="commit"))
    assert any(trial.is_finished for trial in killed.before.recorded.trials)
    answers: dict[str, Counter[str]] = {}
    cost = Account()
    for kind, name, whole, damage in damages(many):
        killed.put_back()
        if whole:
            as_whole_file(killed.paths.database)
        damage(killed.paths.root / name)
        end = killed.go_on()
        assert end.code in (0, 3), f"{kind}: {end.told}"
        answers.setdefault(kind, Counter())["refused" if end.code else "went on"] += 1
        if end.code:
            assert re.search("restore|move|release that wrote it", end.told), end.told
            continue
        now = snapshot(request.runs_dir)
        assert now.recorded.table == undisturbed.recorded.table, kind
        account = account_of([killed.before], now)
        assert (account.lost, account.doubled) == (0, 0), kind
        cost += account
    told = "; ".join(
        f"{kind}: " + ", ".join(f"{count} {answer}" for answer, count in counted.items())
        for kind, counted in answers.items()
    )
    faults.add(
        "record-damaged",
        "the record of a killed search; what went on ended with the undisturbed table",
        len(damages(many)),
        told,
        cost,
    )


def test_an_older_copy_of_the_record_is_refused_beside_newer_trials(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    request = new_request()
    killed = Killed.at(request, Steps(request.runs_dir, 30, only="commit"))
    assert killed.go_on().code == 0
    newer = killed.paths.root.with_name("newer")
    shutil.copytree(killed.paths.root, newer)
    for name in ("search.db", "search.db-wal"):
        shutil.copy(killed.kept / name, killed.paths.root / name)
    (killed.paths.root / "search.db-shm").unlink(missing_ok=True)
    refused = killed.go_on()
    assert refused.code == 3
    assert "is older than its files" in refused.told
    # What the sentence advises helps.
    for name in ("search.db", "search.db-wal"):
        (killed.paths.root / name).unlink(missing_ok=True)
        if (newer / name).exists():
            shutil.copy(newer / name, killed.paths.root / name)
    shutil.rmtree(newer)
    again = killed.go_on()
    assert again.code == 0, again.told
    now = snapshot(request.runs_dir)
    assert now.recorded.table == undisturbed.recorded.table
    faults.add(
        "record-damaged",
        "an older copy restored beside newer trial folders",
        1,
        "refused, naming the first trial that it does not know; with the newer copy it went on",
        account_of([killed.before], now),
    )
