"""Atomic folders and manifests: what a crash leaves, and what a damaged folder says."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ktlite import storage
from ktlite._version import __version__
from ktlite.errors import ArgumentError, PredictorError
from ktlite.storage import atomic_folder, read_manifest, recover, sha256, write_manifest

OLD = {"weights.bin": b"old weights", "tokenizer.json": b"{}"}
NEW = {"weights.bin": b"new and longer weights", "vocab/words.txt": b"good\nbad\n"}


def ours(path: Path) -> bool:
    return (path / storage.MANIFEST).is_file()


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    write_manifest(folder, {"task": "text-classification"})


def save(path: Path, files: dict[str, bytes]) -> None:
    with atomic_folder(path, replace=ours) as folder:
        fill(folder, files)


def content(path: Path) -> dict[str, bytes]:
    """Returns what the folder holds, after checking that its manifest is right."""
    read_manifest(path)
    files = (p for p in path.rglob("*") if p.is_file() and p.name != storage.MANIFEST)
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_exchange", lambda a, b: False)


@pytest.fixture(params=["exchange", "two renames"])
def swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two renames":
        without_exchange(monkeypatch)
    return request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a predictor is saved; its parent holds nothing else."""
    return tmp_path / "models" / "my-predictor"


# Writing folders


def test_new_folder_appears_with_its_missing_parents(path: Path) -> None:
    with atomic_folder(path) as folder:
        assert not path.exists()
        assert folder.parent == path.parent
        fill(folder, NEW)
    assert content(path) == NEW
    assert os.listdir(path.parent) == ["my-predictor"]


def test_replacing_leaves_the_new_files_only(path: Path, swap: str) -> None:
    save(path, OLD)
    save(path, NEW)
    assert content(path) == NEW
    assert os.listdir(path.parent) == ["my-predictor"]


def test_old_folder_stays_readable_until_the_end(path: Path, swap: str) -> None:
    save(path, OLD)
    with atomic_folder(path, replace=ours) as folder:
        fill(folder, NEW)
        assert content(path) == OLD
    assert content(path) == NEW


def test_linux_exchanges_in_one_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("renameat2 is Linux'")
    save(path, OLD)
    monkeypatch.setattr(os, "rename", lambda a, b: pytest.fail("a rename is not atomic here"))
    save(path, NEW)
    assert content(path) == NEW


def test_empty_folder_is_replaced_without_asking(path: Path, swap: str) -> None:
    path.mkdir(parents=True)
    with atomic_folder(path) as folder:
        fill(folder, NEW)
    assert content(path) == NEW


def test_symbolic_link_is_followed(path: Path, tmp_path: Path, swap: str) -> None:
    save(path, OLD)
    link = tmp_path / "latest"
    link.symlink_to(path, target_is_directory=True)
    save(link, NEW)
    assert link.is_symlink()
    assert content(path) == NEW
    assert sorted(os.listdir(tmp_path)) == ["latest", "models"]


def test_access_rights_are_those_of_a_new_folder_or_of_the_old_one(path: Path) -> None:
    save(path, OLD)
    usual = path.parent / "usual"
    usual.mkdir()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    path.chmod(0o700)
    save(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["a[b]*?", "two words", "好评", ".hidden", "dots.in.it"])
def test_any_folder_name_works(path: Path, name: str) -> None:
    odd = path.with_name(name)
    save(odd, OLD)
    save(odd, NEW)
    assert content(odd) == NEW
    assert os.listdir(path.parent) == [name]


# Refusing


def test_foreign_folder_is_refused_before_any_work(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(ArgumentError, match=r"a folder of thesis\.tex is there.*another name"),
        atomic_folder(path, replace=ours),
    ):
        pytest.fail("the body must not run")
    assert (path / "thesis.tex").read_text() == "years of work"
    assert os.listdir(path.parent) == ["my-predictor"]


def test_file_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("notes")
    with pytest.raises(ArgumentError, match="a file is there"), atomic_folder(path, replace=ours):
        pytest.fail("the body must not run")
    assert path.read_text() == "notes"


def test_without_replace_nothing_is_replaced(path: Path) -> None:
    save(path, OLD)
    with pytest.raises(ArgumentError, match="does not replace"), atomic_folder(path):
        pytest.fail("the body must not run")
    assert content(path) == OLD


def test_foreign_folder_that_appears_meanwhile_is_not_replaced(path: Path) -> None:
    with (
        pytest.raises(ArgumentError, match="does not replace"),
        atomic_folder(path, replace=ours) as folder,
    ):
        fill(folder, NEW)
        path.mkdir()
        (path / "thesis.tex").write_text("years of work")
    assert os.listdir(path.parent) == ["my-predictor"]
    assert os.listdir(path) == ["thesis.tex"]


@pytest.mark.parametrize("name", [".", "", "..", "/"])
def test_current_directory_and_its_parents_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ArgumentError, match="current directory"),
        atomic_folder(name, replace=lambda path: True),
    ):
        pytest.fail("the body must not run")


def test_mount_point_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path, OLD)
    monkeypatch.setattr(os.path, "ismount", lambda p: Path(p) == path)
    with pytest.raises(ArgumentError, match="mount point"), atomic_folder(path, replace=ours):
        pytest.fail("the body must not run")


# Failing and crashing

# The calls that `atomic_folder` makes, and how many of them succeed before one fails.
STEPS = [(os, "fsync", 0), (os, "fsync", 2), (shutil, "copymode", 0), (storage, "_exchange", 0)]
STEPS += [(os, "rename", 0), (os, "rename", 1)]


def fail_at(
    patch: pytest.MonkeyPatch, module: Any, name: str, before: int, failure: Callable[[], Any]
) -> None:
    """Lets one call of a function fail; those before and after it do what they always do."""
    original = getattr(module, name)
    calls = 0

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == before + 1:
            failure()
        return original(*args)

    patch.setattr(module, name, counted)


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [full_disk, interrupted, lambda: 1 / 0])
def test_body_that_raises_leaves_the_old_folder(path: Path, failure: Callable[[], None]) -> None:
    save(path, OLD)
    with (
        pytest.raises((OSError, KeyboardInterrupt, ZeroDivisionError)),
        atomic_folder(path, replace=ours) as folder,
    ):
        (folder / "weights.bin").write_bytes(b"half")
        failure()
    assert content(path) == OLD
    assert os.listdir(path.parent) == ["my-predictor"]


@pytest.mark.parametrize(("module", "name", "before"), STEPS)
@pytest.mark.parametrize("failure", [full_disk, interrupted])
def test_step_that_fails_leaves_the_old_folder(
    path: Path,
    module: Any,
    name: str,
    before: int,
    failure: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(path, OLD)
    if name == "rename":
        without_exchange(monkeypatch)
    with monkeypatch.context() as patch:
        fail_at(patch, module, name, before, failure)
        with pytest.raises((OSError, KeyboardInterrupt)):
            save(path, NEW)
    assert content(path) == OLD
    assert os.listdir(path.parent) == ["my-predictor"]


# A save that ends without any clean-up when it reaches the given call for the n-th time.
CRASH = """
import os, sys
from pathlib import Path
from ktlite import storage

path, call, before, exchange = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "True"
if not exchange:
    storage._exchange = lambda a, b: False
module, name = {"_exchange": (storage, "_exchange"), "copymode": (storage.shutil, "copymode"),
                "rmtree": (storage.shutil, "rmtree")}.get(call, (os, call))
original = getattr(module, name, None)

def dies_here(*args, **kwargs):
    global before
    before -= 1
    if before < 0:
        os._exit(9)
    return original(*args, **kwargs)

setattr(module, name, dies_here)
with storage.atomic_folder(path, replace=lambda path: True) as folder:
    (folder / "weights.bin").write_bytes(b"new and longer weights")
    (folder / "vocab").mkdir()
    (folder / "vocab" / "words.txt").write_bytes(b"good\\nbad\\n")
    if call == "body":
        os._exit(9)
    storage.write_manifest(folder, {"task": "text-classification"})
"""


@pytest.mark.parametrize(
    ("call", "before", "exchange", "expected"),
    [
        ("body", 0, True, OLD),
        *[("fsync", done, True, OLD) for done in range(5)],  # Three files and two folders.
        ("copymode", 0, True, OLD),
        ("_exchange", 0, True, OLD),
        ("fsync", 5, True, NEW),  # The parent folder, after the exchange.
        ("rmtree", 0, True, NEW),
        ("rename", 0, False, OLD),
        ("rename", 1, False, NEW),  # Neither is in place: `recover` has to act.
        ("rmtree", 0, False, NEW),
    ],
)
def test_process_that_dies_leaves_the_old_folder_or_the_new_one(
    path: Path, call: str, before: int, exchange: bool, expected: dict[str, bytes]
) -> None:
    save(path, OLD)
    command = [sys.executable, "-c", CRASH, str(path), call, str(before), str(exchange)]
    root = str(Path(storage.__file__).parents[1])
    assert subprocess.run(command, cwd=root, check=False).returncode == 9
    assert content(path) == expected
    assert len(os.listdir(path.parent)) == 2  # Something was left: the crash was real.
    save(path, NEW)
    assert content(path) == NEW
    assert os.listdir(path.parent) == ["my-predictor"]


def test_save_that_still_runs_is_not_cleaned_away(path: Path) -> None:
    with atomic_folder(path, replace=ours) as first:
        fill(first, OLD)
        save(path, NEW)
        assert content(path) == NEW
    assert content(path) == OLD  # The last one to end wins.
    assert os.listdir(path.parent) == ["my-predictor"]


def test_saves_at_the_same_time_do_not_disturb_each_other(path: Path, swap: str) -> None:
    save(path, OLD)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(save, path, files) for files in [OLD, NEW] * 20]:
            done.result()
    assert content(path) in (OLD, NEW)
    assert os.listdir(path.parent) == ["my-predictor"]


def test_leftover_that_cannot_be_locked_is_cleaned_after_a_day(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "locked", lambda path, wait: nullcontext(False))
    path.parent.mkdir()
    young, aged = (path.with_name(f".my-predictor.{n}.tmp") for n in ("0" * 8, "1" * 8))
    young.mkdir()
    aged.mkdir()
    os.utime(aged, (0, 0))
    save(path, NEW)
    assert young.is_dir()
    assert not aged.exists()


def test_names_that_only_look_like_leftovers_are_kept(path: Path) -> None:
    path.parent.mkdir()
    kept = [".my-predictor.tmp", ".my-predictor2.00000000.tmp", "my-predictor.00000000.tmp"]
    for name in kept:
        path.with_name(name).mkdir()
    save(path, NEW)
    assert sorted(os.listdir(path.parent)) == sorted([*kept, "my-predictor"])


def test_recover_does_not_bring_back_what_a_user_removed(path: Path) -> None:
    save(path, OLD)
    shutil.copytree(path, path.with_name(".my-predictor.00000000.old"))
    shutil.rmtree(path)
    recover(path)
    assert not path.exists()
    recover(path / "missing" / "parents")


# Manifests


def edit(path: Path, change: Callable[[dict[str, Any]], None], *, sign: bool = False) -> None:
    """Changes ktlite.json; with `sign`, as an attacker would who knows the checksum."""
    manifest = json.loads((path / storage.MANIFEST).read_bytes())
    change(manifest)
    if sign:
        del manifest["checksum"]
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
        manifest["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    (path / storage.MANIFEST).write_text(json.dumps(manifest))


def test_manifest_holds_the_data_and_the_facts_of_every_file(path: Path) -> None:
    data = {"task": "text-classification", "classes": ["差", "好"], "golden": [0.1, 1e-30]}
    with atomic_folder(path) as folder:
        (folder / "vocab").mkdir()
        (folder / "vocab" / "words.txt").write_bytes(b"abc")
        (folder / "empty").write_bytes(b"")
        write_manifest(folder, data)
    assert read_manifest(path) == {
        "schema": 1,
        "ktlite_version": __version__,
        **data,
        "files": {
            "empty": {
                "size": 0,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
            "vocab/words.txt": {
                "size": 3,  # the SHA-256 of "abc" is the standard's own example (FIPS 180-2)
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
        },
        "checksum": json.loads((path / "ktlite.json").read_bytes())["checksum"],
    }
    assert '"差"' in (path / "ktlite.json").read_text(encoding="utf-8")


def test_manifest_survives_a_move_a_rewrite_and_files_that_it_does_not_list(path: Path) -> None:
    save(path, OLD)
    first = (path / "ktlite.json").read_bytes()
    write_manifest(path, {"task": "text-classification"})
    assert (path / "ktlite.json").read_bytes() == first
    moved = path.rename(path.with_name("elsewhere"))
    (moved / "README.md").write_text("mine")
    assert read_manifest(moved)["task"] == "text-classification"


def test_manifest_with_integer_keys_can_be_read_back(path: Path) -> None:
    with atomic_folder(path) as folder:
        write_manifest(folder, {"thresholds": {2: 0.5, 10: 0.25}})
    assert read_manifest(path)["thresholds"] == {"2": 0.5, "10": 0.25}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"files": {}}, "files cannot be set"),
        ({"schema": 2, "checksum": ""}, "checksum, schema cannot be set"),
        ({"golden": float("nan")}, "JSON"),
        ({"classes": {"a", "b"}}, "JSON"),
        ({"label": "\ud800"}, "JSON"),
    ],
)
def test_manifest_refuses_what_it_cannot_hold(
    tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        write_manifest(tmp_path, data)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1])
def test_sha256_is_that_of_the_whole_file(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "data").write_bytes(data)
    assert sha256(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def cut_manifest(path: Path) -> None:
    (path / "ktlite.json").write_bytes((path / "ktlite.json").read_bytes()[:-40])


def damage(path: Path) -> None:
    (path / "weights.bin").write_bytes(b"OLD WEIGHTS")


def damage_two(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    (path / "weights.bin").write_bytes(b"old")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_manifest, r"ktlite\.json is damaged.*not valid JSON.*Copy the folder again"),
        (lambda p: (p / "ktlite.json").write_bytes(b""), "not valid JSON"),
        (lambda p: (p / "ktlite.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
        (lambda p: (p / "ktlite.json").write_text("[1]"), "no schema number"),
        (lambda p: (p / "ktlite.json").write_text("{}"), "no schema number"),
        (lambda p: edit(p, lambda m: m.update(schema="1")), "no schema number"),
        (lambda p: edit(p, lambda m: m.update(task="regression")), "its checksum differs"),
        (lambda p: edit(p, lambda m: m["files"].clear()), "its checksum differs"),
        (lambda p: edit(p, lambda m: m.pop("checksum")), "its checksum differs"),
        (lambda p: (p / "weights.bin").unlink(), r"weights\.bin is missing\. Copy"),
        (
            lambda p: (p / "weights.bin").write_bytes(b"old"),
            r"weights\.bin has 3 bytes instead of 11 \(a copy that was cut short\?\)",
        ),
        (
            lambda p: (p / "weights.bin").write_bytes(b"old weights and more"),
            r"weights\.bin has 20 bytes instead of 11\. Copy",
        ),
        (damage, r"weights\.bin is damaged \(its SHA-256 differs"),
        (damage_two, r"tokenizer\.json is missing\. weights\.bin has 3 bytes"),
    ],
)
def test_damaged_folder_is_refused_with_the_file_and_the_remedy(
    path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    save(path, OLD)
    spoil(path)
    with pytest.raises(PredictorError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_newer_schema_says_who_wrote_it_and_to_upgrade(path: Path) -> None:
    save(path, OLD)
    edit(path, lambda m: m.update(schema=2, ktlite_version="7.0", checksum="of another kind"))
    with pytest.raises(PredictorError, match=r"ktlite 7\.0 with schema 2.*up to schema 1.*pip"):
        read_manifest(path)


def test_caller_may_understand_a_newer_schema(path: Path) -> None:
    save(path, OLD)
    edit(path, lambda m: m.update(schema=2), sign=True)
    assert read_manifest(path, newest_schema=2)["schema"] == 2


@pytest.mark.parametrize(
    "name", ["../secret", "vocab/../../secret", "/etc/passwd", "C:\\secret", "..\\secret", "", "."]
)
def test_names_that_lead_out_of_the_folder_are_refused(path: Path, name: str) -> None:
    save(path, OLD)
    (path.parent / "secret").write_text("x")
    edit(path, lambda m: m["files"].update({name: {"size": 1, "sha256": ""}}), sign=True)
    with pytest.raises(PredictorError, match="outside the folder.*do not trust"):
        read_manifest(path)


def test_missing_folder_names_the_nearest_ones(path: Path) -> None:
    save(path, OLD)
    save(path.with_name("chinese"), OLD)
    with pytest.raises(PredictorError, match=r"no such folder\. Did you mean 'my-predictor'\?$"):
        read_manifest(path.with_name("my-predicter"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/my-predictor", r"there is no folder '.*nowhere'"),
        ("something-else-entirely", r"no such folder\.$"),
        ("notes.txt", "it is a file; a predictor is a folder"),
        ("old-ktrain", "that ktrain saved.*Convert it once"),
    ],
)
def test_path_that_is_no_folder_says_what_it_is(path: Path, name: str, message: str) -> None:
    save(path, OLD)
    path.with_name("notes.txt").write_text("")
    path.with_name("old-ktrain.preproc").write_text("")
    with pytest.raises(PredictorError, match=message):
        read_manifest(path.parent / name)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["config.json", "model.safetensors"], r"a checkpoint; load it with ktlite\.load_model\("),
        (["config.json", "model.safetensors.index.json"], "a checkpoint"),
        (["tf_model.h5", "config.json", "tf_model.preproc"], "that ktrain saved"),
        ([".preproc"], "that ktrain saved"),
        (["b.txt", "a.txt"], r"has no ktlite\.json, but a\.txt, b\.txt\."),
        ([], "but nothing"),
        (["run-1/ktlite.json", "run-2/ktlite.json"], "has predictors in it: run-1, run-2"),
    ],
)
def test_foreign_folder_says_what_it_is(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(PredictorError, match=message):
        read_manifest(tmp_path)
