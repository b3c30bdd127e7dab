"""`ktlite launch`: what workers are given, what becomes of their words, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ktlite.cli.launching import launch, local_addresses
from ktlite.cli.main import main
from ktlite.errors import ArgumentError, TrainingError

ROOT = Path(__file__).parents[2]
# Says who it is, then does what its first argument says; only worker 1 fails.
SCRIPT = """
import json, os, signal, sys, time
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
print("worker", index, sys.argv[1:], flush=True)
with open(f"config-{index}.json", "w") as file:
    json.dump({**config, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}, file)
what = sys.argv[1] if index == 1 else "wait"
if sys.argv[1] == "end":
    sys.exit()
if what == "raise":
    print("1/2\\r2/2")
    raise RuntimeError("no such column")
if what == "leave":
    sys.exit(128 + signal.SIGTERM)
if what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(f"deaf-{index}", "w").close()
    while not (os.path.exists("deaf-0") and os.path.exists("deaf-1")):
        time.sleep(0.02)
    if index == 1:
        sys.exit(5)
if sys.argv[1] == "stop":
    def stop(number, frame):
        print("stopped", flush=True)
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, stop)
    open(f"ready-{index}", "w").close()
time.sleep(60)
open(f"slept-{index}", "w").close()  # nobody has ended it
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script, in an empty folder that is the current one; without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ktlite.cli", "launch", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_workers_know_each_other_and_the_first_one_is_heard(script: Path) -> None:
    done = run("--workers", "2", "--logs", "logs", "script.py", "end", "--lr", "1e-4", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "worker 0 ['end', '--lr', '1e-4', '--json']\n"
    log = Path("logs/worker-1.log").read_text()
    assert log == "worker 1 ['end', '--lr', '1e-4', '--json']\n"
    configs = [json.loads(Path(f"config-{i}.json").read_text()) for i in range(2)]
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
    ]
    first, second = (config["cluster"]["worker"] for config in configs)
    assert first == second
    assert len(set(first)) == 2
    assert all(address.startswith("127.0.0.1:") for address in first)


def test_one_of_several_machines(script: Path) -> None:
    done = run("--workers", "one:2222,two:2222", "--index", "1", "-m", "script", "end")
    assert done.stdout == "worker 1 ['end']\n"
    assert json.loads(Path("config-1.json").read_text())["cluster"] == {
        "worker": ["one:2222", "two:2222"]
    }


@pytest.mark.parametrize(
    ("what", "parts"),
    [
        ("die", ["worker 1 of 2 was ended by SIGKILL", "memory runs out", "resume=True"]),
        ("leave", ["worker 1 of 2 was ended by SIGTERM", "resume=True"]),
        (
            "raise",
            [
                "worker 1 of 2 failed with exit code 1",
                "    2/2\n",
                "    RuntimeError: no such column",
            ],
        ),
    ],
)
def test_a_workers_death_ends_all_and_is_told(script: Path, what: str, parts: list[str]) -> None:
    done = run("--workers", "2", "script.py", what)
    assert not Path("slept-0").exists()
    assert done.returncode == 1
    for part in [*parts, f"    worker 1 ['{what}']"]:
        assert part in done.stderr
    assert ("resume=True" in done.stderr) == (what != "raise")


def test_a_worker_that_does_not_listen_is_killed(script: Path) -> None:
    with pytest.raises(TrainingError, match="worker 1 of 2 failed with exit code 5"):
        launch([sys.executable, "script.py", "deaf"], local_addresses(2), [0, 1], grace=0.3)
    assert not Path("slept-0").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGTERM),
        pytest.param(
            signal.SIGKILL,
            -signal.SIGKILL,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the workers"),
        ),
    ],
)
def test_workers_hear_of_the_launchers_end(script: Path, number: int, code: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this process ignores the signal, as under nohup, and so would the launcher")
    command = [sys.executable, "-m", "ktlite.cli", "launch", "--workers", "2", "script.py", "stop"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (Path("ready-0").exists() and Path("ready-1").exists()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert output == "worker 0 ['stop']\nstopped\n"
    assert process.returncode == code


def test_workers_of_a_machine_divide_its_gpus(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    launch([sys.executable, "script.py", "end"], local_addresses(2), [0, 1])
    shares = [json.loads(Path(f"config-{i}.json").read_text())["gpus"] for i in range(2)]
    assert shares == ["0,2", "1,3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,-1")
    with pytest.raises(ArgumentError, match="2 workers for 1 GPU"):
        launch([sys.executable, "script.py", "end"], local_addresses(2), [0, 1])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    launch([sys.executable, "script.py", "end"], local_addresses(2), [0, 1])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--workers", "0"], "--workers 0; expected 1 or more"),
        (["--workers", "2", "--index", "0"], "--index goes with addresses"),
        (["--workers", ""], "--workers ''; expected a number"),
        (["--workers", "one:1,two", "--index", "0"], "--workers 'one:1,two'; expected a number"),
        (["--workers", "[::1]:1,two:65536", "--index", "0"], "two:65536'; expected a number"),
        (["--workers", "one:1,one:1", "--index", "0"], "different addresses"),
        (["--workers", "one:1,two:1"], "--index None; expected which of the 2"),
        (["--workers", "one:1,two:1", "--index", "2"], "0 to 1"),
        (["--workers", "2"], "there is no file nosuch.py"),
    ],
)
def test_wrong_words_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main(["launch", *words, "nosuch.py"]) == 2
    assert part in capsys.readouterr().err


def test_the_launcher_loads_no_heavy_library(script: Path) -> None:
    program = (
        "import sys\nfrom ktlite.cli.main import main\n"
        "assert main(['launch', '--workers', '1', 'script.py', 'end']) == 0\n"
        "heavy = {'tensorflow', 'keras', 'transformers', 'numpy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
