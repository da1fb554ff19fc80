"""Whatever a user gives that cannot be: one clear message, its exit code, nothing written."""

from __future__ import annotations

import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from pipeline.__main__ import COMMANDS
from tests.cli_support import Answer, call, call_here, environment
from tests.requirements import skip_or_fail
from tests.search_support import finished_search


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to call commands in, whose path a shell would have to quote."""
    folder = tmp_path / "ein Ördner"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("ARCHSEARCH_DATABASE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return folder


def refused(answer: Answer, code: int, *told: str) -> None:
    """The rule for every refusal."""
    assert answer.code == code, answer
    assert answer.err.startswith("error: "), answer
    assert "Traceback" not in answer.err
    for part in told:
        assert part in answer.err


def has_searches(folder: Path) -> bool:
    """Whether anything but folders and prepared data is there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return any(path.parent.name != "data" for path in files)


# What typer and pydantic say is in their own words: asked for is what of the line it must name.
WRONG_SEARCH = [
    ("", "'--space'"),
    ("--space", "'--space'"),
    ("--space ''", "known: all_families"),
    ("--space wrn_vs_resnet", "did you mean wrn_vs_resnext?"),
    ("--space missing.yaml", "there is no such file"),
    ("--space .", "not a file"),
    ("--spcae smoke", "--spcae"),
    ("--space smoke extra", "(extra)"),
    ("--space smoke --data digit", "did you mean digits"),
    ("--space smoke --data ''", "known: cifar10"),
    ("--space smoke --data missing.py:load", "there is no file missing.py"),
    ("--space smoke --data missing_module:load", "there is no module missing_module"),
    ("--space smoke --data pets.py:", "give FILE.py:NAME or PACKAGE.MODULE:NAME"),
    ("--space smoke --data-dir ''", "give the path of a folder"),
    ("--space smoke --runs-dir ''", "give the path of a folder"),
    ("--space smoke --trials 0", "--trials '0' is no count"),
    ("--space smoke --trials many", "--trials 'many' is no count"),
    (
        "--space smoke --trials +0",
        "--trials '+0' is no count: give a positive whole number such as 50, or +50",
    ),
    ("--space smoke --trials +", "--trials '+' is no count"),
    ("--space smoke --trials 1e9", "--trials"),
    ("--space smoke --trials 9999999999", "--trials 9999999999: "),
    ("--space smoke --max-macs abc", "such as 5000000, 5e6 or 5M, or none"),
    ("--space smoke --max-macs nan", "--max-macs 'nan' is no count"),
    ("--space smoke --max-params 0", "--max-params '0' is no count"),
    ("--space smoke --max-epochs 0", "--max-epochs"),
    ("--space smoke --max-epochs 99999999", "--max-epochs 99999999: "),
    ("--space smoke --cpus-per-trial 0", "--cpus-per-trial"),
    ("--space smoke --gpus-per-trial nan", "--gpus-per-trial"),
    ("--space smoke --gpus-per-trial inf", "--gpus-per-trial inf: "),
    ("--space smoke --gpus-per-trial 1.5", "above 1 only whole GPUs"),
    ("--space smoke --random-share 1.1", "--random-share"),
    ("--space smoke --seed -1", "--seed"),
    ("--space smoke --seed 4294967296", "--seed 4294967296"),
    ("--space smoke --time-budget 5 apples", "(apples)"),
    ("--space smoke --time-budget tomorrow", "such as 30m"),
    ("--space smoke --time-budget 0", "such as 30m"),
    ("--space smoke --time-budget 99999999d", "--time-budget 8639999913600"),
    ("--space smoke --runs-dir 'caf\udce9'", "a path must be UTF-8 text"),
    ("--space smoke --concurrency 0", "--concurrency"),
    ("--space smoke --image-size 0", "--image-size"),
    ("--space smoke --image-size 100000", "1 <= image_size <= 512"),
    ("--space smoke --train-size 0", "--train-size"),
    ("--space smoke --name ../x", "letters, digits"),
    ("--space smoke --name ''", "letters, digits"),
    ("--space smoke --name mlflow", "it is not a search's folder"),
    ("--space smoke --address ''", "auto, HOST:PORT or ray://HOST:PORT"),
    ("--space smoke --address 127.0.0.1:99999", "auto, HOST:PORT or ray://HOST:PORT"),
    ("--space smoke --tracking-uri here", "give `http://HOST:PORT`"),
    ("--space smoke --tracking-uri file:///tmp/x", "MLflow keeps no runs there"),
    ("--space smoke --quiet --json", "exclude each other"),
    # Before 170 MB are downloaded, and all at once:
    ("--space smoke --data cifar10 --seed 4294967296 --name ../x", "--seed 4294967296: "),
    ("--space smoke --data cifar10 --seed 4294967296 --name ../x", "--name ../x: "),
]

WRONG_ELSEWHERE = [
    ("status nope", "there is no search 'nope' in runs"),
    ("status ../x", "letters, digits"),
    ("status ''", "letters, digits"),
    ("status one two", "(two)"),
    ("status --runs-dir ''", "give the path of a folder"),
    ("status x --database nonsense", "--database is not a URL"),
    ("status --database mysql://x/y", "SQLite or PostgreSQL"),
    ("status --database http://[::1", "--database is not a URL"),
    ("status --database sqlite:///%00", "--database is not a URL"),
    ("status --database sqlite:///x?timeout=y", "--database is not a URL"),
    ("status --database 'sqlite:///caf\udce9'", "--database is not a URL"),
    ("status --database postgresql+psycopg://h:1,i:2/x", "--database is not a URL"),
    ("track", "'NAME'"),
    ("track nope", "there is no search 'nope'"),
    ("promote", "'NAME'"),
    ("promote ../nope", "letters, digits"),
    ("promote nope", "there is no search 'nope'"),
    ("promote nope --gate speed=5", "there is no gate 'speed': known: accuracy, chance"),
    ("promote nope --gate mcnemra=0.05", "did you mean mcnemar?"),
    ("promote nope --gate mcnemar", "give mcnemar=LIMIT, or mcnemar=none"),
    ("promote nope --gate mcnemar=1.5", "between 0 and 1, such as 0.05, or none"),
    ("promote nope --gate latency_ms=-1 --gate params=big", "such as 5000000, 5e6 or 5M"),
    ("promote nope --gate latency_ms=1 --gate latency_ms=2", "given twice: 1 and 2"),
    ("promote nope --rollback", "there is no search 'nope'"),
    ("promote --rollback", "name the search, or the registered model by --model"),
    ("promote nope --rollback --force", "--rollback goes with neither"),
    ("promote --rollback --model 'caf\udce9'", "a registered model's name has"),
    ("promote --rollback --model m --tracking-uri sqlite:///%00", "nothing has such a name"),
    ("promote --rollback --model m --tracking-uri 'sqlite:///caf\udce9'", "such a name"),
    ("promote --rollback --model m --tracking-uri mysql://h:1,i:2/x", "cannot be read as a URL"),
    ("predict", "'MODEL'"),
    ("predict smoke", "'IMAGE...'"),
    ("predict nope image.png", "unknown network 'nope'"),
    ("predict nope.onnx image.png", "there is no such file"),
    ("predict models:/nope image.png", "give models:/NAME@ALIAS"),
    ("predict WRN-16-1 image.png", "it has learnt nothing yet"),
    ("predict nope image.png --top 0", "--top"),
    ("predict 'models:/caf\udce9@a' image.png", "give models:/NAME@ALIAS"),
    ("export WRN-10-1 --seed 4294967296", "--seed"),
    ("export models:/nope", "give models:/NAME@ALIAS"),
    ("control nope pause", "there is no search 'nope'"),
    ("control nope dance", "'dance'"),
    ("train", "'name'"),
    ("train WRN-28-1O", "did you mean WRN-28-1"),
    ("train WRN-10-1 --epochs 9999999", ", got 9999999"),
    ("train WRN-10-1 --learning-rate nan", "--learning-rate nan: "),
    ("train WRN-10-1 --data digit", "did you mean digits"),
    ("train WRN-10-1 --data missing.py:load", "there is no file missing.py"),
    ("train WRN-10-1 --out ''", "give the path of a folder"),
    ("export", "'MODEL_OR_TRIAL'"),
    ("export frist", "unknown network 'frist'"),
    ("export WRN-10-1 --format onix", "known: onnx, pt2"),
    ("export WRN-10-1 --batch-size 2 --dynamic-batch", "exclude each other"),
    ("export WRN-10-1 --output ''", "--output: give the path"),
    ("doctor well", "(well)"),
    ("ui --port 0", "--port"),
    ("ui --port 65536", "--port"),
    ("ui --port http", "--port"),
    ("ui --tracking-uri here", "give `http://HOST:PORT`"),
    ("spaces", "Known: describe, list, show, validate."),
    ("spaces lst", "'lst'"),
    ("spaces list extra", "(extra)"),
    ("spaces show", "'name'"),
    ("spaces show smok", "did you mean smoke?"),
    ("spaces validate /dev/zero", "not a file"),
    ("spaces describe", "'name'"),
    ("spaces describe WRN-28-1O", "did you mean WRN-28-1"),
    ("spaces describe WRN-27-10", "`depth = 6n + 4` must hold"),
    ("spaces describe ResNeXt-29-0x64d", "cardinality: "),
    ("spaces describe WRN-16-1 --image-size 2", "`image_size >= 4` must hold"),
    ("spaces describe resnet50 --image-size 8", "`image_size >= 32` must hold"),
    ("spaces describe WRN-16-1 --classes 1", "--classes: "),
]


@pytest.mark.parametrize(
    ("line", "told"),
    [*((f"search {line}", told) for line, told in WRONG_SEARCH), *WRONG_ELSEWHERE],
)
def test_what_is_knowable_from_the_command_line_or_a_name_exits_2(
    here: Path, line: str, told: str
) -> None:
    refused(call_here(*shlex.split(line)), 2, told)
    assert not list(here.iterdir())


def test_more_training_images_than_there_are_are_refused_with_the_number(here: Path) -> None:
    answer = call_here("search", "--space", "smoke", "--train-size", 5000)
    refused(answer, 2, "`train_size <= 1150` must hold for `digits`")
    assert not has_searches(here)


BROKEN_SPACE = """\
families:
  wrn:
    depth: {int: [28, 10], step: 6}
    widen_factor: [1, 2]
    dropuot: 0.1
  wrm: {}
training:
  learning_rate: .nan
  learning_rate: 0.1
  batch_size: big
fidelity: {max_epochs: 0}
"""
PROBLEMS = [
    (":3: families/wrn/depth: `low <= high` must hold, got [28, 10]",),
    (":4: families/wrn/widen_factor: a parameter is a bare value",),
    (":5: families/wrn/dropuot: unknown field 'dropuot': did you mean dropout",),
    (":6: families/wrm: unknown family 'wrm': did you mean wrn?",),
    (":8: training/learning_rate: numbers must be finite, got nan",),
    (":9: training/learning_rate: this key stands twice; first on line 8",),
    (":10: training/batch_size: ", ", got 'big'"),
    (":11: fidelity/max_epochs: ", ", got 0"),
]


@pytest.mark.parametrize("command", [("spaces", "validate"), ("search", "--space")])
def test_a_space_file_is_told_all_its_problems_with_their_lines(
    here: Path, command: tuple[str, str]
) -> None:
    path = here / "bad.yaml"
    path.write_text(BROKEN_SPACE)
    answer = call_here(*command, path)
    refused(answer, 2)
    lines = answer.err.removeprefix("error: ").splitlines()
    for line, (begin, *rest) in zip(lines, PROBLEMS, strict=True):
        assert line.startswith(f"{path}{begin}")
        assert all(part in line for part in rest), line
    assert list(here.iterdir()) == [path]


def test_a_space_of_networks_for_large_images_finds_nothing_feasible_on_small_ones(
    here: Path,
) -> None:
    resnet50 = "{depth: 50, block: bottleneck, stem: imagenet, shortcut: B}"
    Path("large.yaml").write_text(
        f"families: {{resnet: {resnet50}}}\nfidelity: {{max_epochs: 3}}\n"
    )
    answer = call_here("search", "--space", "large.yaml", "--max-macs", "none")
    refused(answer, 3, "can be trained: 200 draws", "image_size >= 32", "--image-size")
    assert not has_searches(here / "runs")


UNFIT = [
    ("search --space smoke --data-dir nowhere", "--data-dir", "does not exist", "`digits`"),
    ("search --space smoke --data cifar10 --data-dir .", "was not found: expected cifar-10-bin"),
    ("search --space smoke --data fashion_mnist --data-dir bad", "train-images", "damaged or not"),
    ("search --space smoke --data cifar100 --data-dir bad", "cifar-100-binary", "damaged or not"),
    ("search --space smoke --data svhn --data-dir bad", "train_32x32.mat", "damaged or not"),
    ("search --space smoke --runs-dir file", "the runs folder file cannot be written"),
    ("search --space smoke --runs-dir file/below", "cannot be written (Not a directory)"),
    ("search --space smoke --runs-dir /proc/x", "the runs folder /proc/x cannot be written"),
    ("search --space smoke --cpus-per-trial 4096", "4096 does not fit: this machine has"),
    ("search --space smoke --gpus-per-trial 64", "64 does not fit: this machine has"),
    ("search --space smoke --address 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
    ("search --space smoke --address ray://127.0.0.1:1", "no Ray cluster answers at ray://"),
    # The smallest ResNeXt is above this, Wide ResNets are not: the question has no answer.
    ("search --space wrn_vs_resnext --max-macs 1M", "nothing of family resnext", "--max-macs"),
    ("search --space smoke --max-macs 1", "can be trained: 200 draws", "--max-macs"),
    ("search --space smoke --max-params 1", "can be trained: 200 draws", "--max-params"),
    ("search --space smoke --image-size 2", "can be trained: 200 draws", "image_size"),
    ("search --space smoke --database sqlite:////proc/x.db", "check that it can be reached and"),
    ("train WRN-10-1 --device cuda:99", "--device cuda:99 cannot be used here"),
    ("train WRN-10-1 --out file", "cannot be written"),
    ("train WRN-10-1 --runs-dir file", "cannot be"),
    ("export WRN-10-1 --output file/x.onnx", "cannot be"),
    ("status --runs-dir file", "the runs folder file cannot be read (Not a directory)"),
    ("status --database sqlite:////proc/x.db", "there is no record at /proc/x.db"),
    ("ui --runs-dir file --port 0{port}", "tracking store", "cannot be used (Not a directory)"),
    ("ui --tracking-uri sqlite:///file --port 0{port}", "tracking store", "file cannot be used ("),
]


@pytest.mark.parametrize(("line", "told"), [(line, told) for line, *told in UNFIT])
def test_what_is_found_by_looking_at_machine_or_data_exits_3(
    here: Path, line: str, told: list[str], free_port: int
) -> None:
    (here / "file").write_text("not a folder")
    (here / "bad").mkdir()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        for published in (name, name.replace("train", "t10k")):
            (here / "bad" / published).write_bytes(b"\x1f\x8b no archive")
    (here / "bad" / "cifar-100-binary.tar.gz").write_bytes(b"\x1f\x8b no archive")
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (here / "bad" / name).write_bytes(b"MATLAB 5.0 MAT-file, so it says")
    refused(call_here(*shlex.split(line.format(port=free_port))), 3, *told)
    assert not list(here.glob("runs/*/search.db"))
    assert (here / "file").read_text() == "not a folder"


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_in_use_is_named(here: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(call_here("ui", "--port", port), 3, f"port {port} of 127.0.0.1", "--port")
    assert not list(here.iterdir())


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB without a free byte."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        skip_or_fail("file systems cannot be mounted here")
    try:
        (folder / "filler").write_bytes(bytes(64 * 1024))
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
@pytest.mark.parametrize("command", ["search --space smoke", "ui --port 0{port}"])
def test_a_full_disk_is_told_as_such(
    here: Path, full_disk: Path, command: str, free_port: int
) -> None:
    line = shlex.split(command.format(port=free_port))
    refused(call_here(*line, "--runs-dir", full_disk / "runs"), 3, "space")
    assert not [path for path in full_disk.rglob("*") if path.suffix in (".db", ".arrow")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data_cache: Path) -> Path:
    """A runs folder with one finished search, `first`."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    finished_search(runs, data_cache, trials=2)
    return runs


@pytest.fixture
def runs(finished: Path, here: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(finished, here / "runs", symlinks=True)
    return here / "runs"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database " * 500)


def _sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    return change


DAMAGES = {
    "truncated": (_truncate, "it is damaged; restore"),
    "no database": (_overwrite, "it is damaged; restore"),
    "another program's": (_sql("ALTER TABLE versions RENAME TO v"), "not a record of archsearch"),
    "of another version": (_sql("UPDATE versions SET version = 99"), "has schema version 99"),
    "with broken JSON": (_sql("UPDATE searches SET settings = '{'"), "it is damaged"),
}
READERS = [
    "status first",
    "report first",
    "track first",
    "promote first",
    "control first pause",
    "search --space smoke --trials 2 --name first",
]


@pytest.mark.parametrize("line", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_that_cannot_be_used_is_told_as_such(runs: Path, damage: str, line: str) -> None:
    change, told = DAMAGES[damage]
    record = runs / "first" / "search.db"
    change(record)
    before = record.read_bytes()
    refused(call_here(*shlex.split(line)), 3, "runs/first/search.db", told)
    assert record.read_bytes() == before


def test_a_doctor_of_a_broken_runs_folder_still_tells_the_rest(here: Path) -> None:
    (here / "file").touch()
    answer = call_here("doctor", "--runs-dir", "file")
    assert answer.code == 3
    assert "FIX searches: cannot be listed" in answer.out
    assert "free memory" in answer.out
    assert not answer.err


def test_a_damaged_search_does_not_hide_the_others(runs: Path) -> None:
    shutil.copytree(runs / "first", runs / "second")
    _overwrite(runs / "second" / "search.db")
    answer = call_here("status")
    refused(answer, 3, "runs/second/search.db", "it is damaged; restore")
    assert answer.out.startswith("first ")
    assert call_here("status", "--json").out.count('"state": "finished"') == 1


def test_a_renamed_folder_is_told_what_its_record_holds(runs: Path) -> None:
    (runs / "first").rename(runs / "second")
    for line in ("status second", "track second", "promote second"):
        refused(call_here(*shlex.split(line)), 2, "has no search 'second': known: first")
    again = "search --space smoke --trials 2 --name second"
    refused(call_here(*shlex.split(again)), 3, "does not know trial 0")
    refused(call_here("status", "second"), 2, "has no search 'second': known: first")


def test_a_name_that_another_search_has_is_refused_with_the_difference(runs: Path) -> None:
    for option in ("--seed 1", "--train-size 100", "--max-epochs 9", "--image-size 16"):
        line = f"search --space smoke --name first {option}"
        refused(call_here(*shlex.split(line)), 2, "is another one: ", " was ", ", now ")


@pytest.mark.parametrize("option", ["--model ''", "--model a/b", "--alias ''", "--alias latest"])
def test_names_that_a_registry_cannot_take_are_refused(runs: Path, option: str) -> None:
    refused(call_here("promote", "first", *shlex.split(option)), 2, option.split()[0])


def test_every_command_is_listed_and_explains_itself() -> None:
    """Help tells what each option is, its exit codes, and how a line of it looks."""
    modules = {path.stem for path in Path("pipeline").glob("[a-z]*.py")}
    assert modules == set(COMMANDS)
    for command in COMMANDS:
        answer = call_here(command, "--help")
        assert answer.code == 0
        assert "Exit codes: " in " ".join(answer.out.split()), command
        app = sys.modules[f"pipeline.{command}"].app
        parsed = typer.main.get_command(app)
        for each in getattr(parsed, "commands", {command: parsed}).values():
            assert each.help
            assert all(parameter.help for parameter in each.params), each.name


REAL_PROCESSES = [
    ("search --space wrn_vs_resnet", 2, "did you mean wrn_vs_resnext?"),
    ("search --space smoke --runs-dir /proc/x", 3, "the runs folder /proc/x cannot be written"),
    ("status nope", 2, "there is no search 'nope'"),
]


@pytest.mark.parametrize(("line", "code", "told"), REAL_PROCESSES)
def test_a_real_process_says_the_same(tmp_path: Path, line: str, code: int, told: str) -> None:
    command, *words = shlex.split(line)
    done = call(command, *words, cwd=tmp_path)
    refused(Answer(done.returncode, done.stdout, done.stderr), code, told)
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


SHELL_LINES = [
    ("{python} -m pipeline", 0, ""),
    ("{python} -m pipeline serch", 2, "did you mean search?"),
    ("{python} -m pipeline search", 2, "python -m pipeline.search"),
    # The reader of our output leaves: no traceback, however early it was.
    ("{python} -m pipeline | true", 0, ""),
    ("{python} -m pipeline.spaces list | head -1", 0, ""),
    ("{python} -m pipeline.spaces show smoke | true", 0, ""),
    # The output's disk is full; the terminal knows no ×; there is no output at all.
    ("{python} -m pipeline.spaces list > /dev/full", 3, "No space left on device"),
    ("PYTHONIOENCODING=ascii {python} -m pipeline.spaces describe WRN-10-1", 0, ""),
    ("{python} -m pipeline.spaces show smoke >&-", 0, ""),
]


@pytest.mark.parametrize(("line", "code", "told"), SHELL_LINES)
def test_an_odd_shell_line_ends_without_a_traceback(
    tmp_path: Path, line: str, code: int, told: str
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", line.format(python=shlex.quote(sys.executable))],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert bool(done.stderr) == bool(told)


BROKEN_CONNECTION = """
import socket
from pipeline._main import new_app, run

app = new_app("Write to somebody who is gone.")

@app.command()
def write() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.send(b"?")

run(app)
"""


INTERRUPTED = """
import signal, time
from pipeline._main import new_app, run

app = new_app("Be interrupted.")

@app.command()
def wait() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is ignored
    signal.raise_signal(signal.SIGINT)
    time.sleep(10)

run(app)
"""


@pytest.mark.parametrize(
    ("program", "code", "told"),
    [
        # Not taken for a reader of our output who has had enough.
        (BROKEN_CONNECTION, 3, "error: the system refused: [Errno 32] Broken pipe\n"),
        (INTERRUPTED, 130, "interrupted\n"),
    ],
)
def test_what_libraries_end_in_silence_is_told(
    tmp_path: Path, program: str, code: int, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, told)
