"""The shape of the code: who may import whom, how long a module may be, what none may do."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "ktlite"

# Lowest first. A module imports from its own layer and from lower ones. The small
# private helpers (_logging.py, ...) are at the bottom too.
LAYERS = [
    {"errors", "storage"},
    {"encodings"},
    {"generation"},
    {"models"},
    {"inputs"},
    {"tasks"},
    {"data"},
    {"training"},
    {"text", "vision"},
    {"inference"},
    {"evaluation", "checks", "cards"},
    {"explain", "export"},
    {"predictor", "report"},
    {"learner"},
    {"workflow_checks"},
    {"workflow"},
    {
        "cross_validation",
        "distillation",
        "pretraining",
        "pruning",
        "significance",
        "sklearn",
        "tuning",
    },
    {"applications"},
    {"deploy"},
    {"cli"},
    {"__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
NUMPY_ALONE = {"encodings", "generation"}
TENSORFLOW_IN = {
    *("training", "inference", "explain", "export", "deploy"),
    *("_memory", "_keras_start", "_scan", "_token_scores", "_tracing"),
}
MAX_LINES = 400


def modules(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def part(dotted: str) -> str:
    """Returns the part of the package that a module is in: ktlite.data.readers -> text."""
    return dotted.split(".")[1] if "." in dotted else "__init__"


def level(name: str) -> int | None:
    """Returns the layer of a part of the package, or None if it has none."""
    private = name.startswith("_") and name != "__init__"
    return 0 if private else LEVEL.get(name)


@functools.cache
def dotted_name(root: Path, file: Path) -> str:
    names = file.relative_to(root).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def is_module(root: Path, dotted: str) -> bool:
    path = root.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(root: Path, file: Path, node: ast.AST) -> list[str]:
    """Returns the absolute names of the modules that a statement or call imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            here = dotted_name(root, file).split(".")
            package = here if file.name == "__init__.py" else here[:-1]
            above = package[: len(package) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        inner = [f"{base}.{alias.name}" for alias in node.names]
        return list(dict.fromkeys(name if is_module(root, name) else base for name in inner))
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func)
        if called in ("__import__", "import_module", "importlib.import_module"):
            return [str(node.args[0].value)]
    return []


def import_problem(importer: str, target: str) -> str | None:
    """Says what is wrong with one import, or returns None."""
    library = target.split(".")[0]
    if library == "torch":
        return "nothing imports torch"
    if library == "keras" and importer in NUMPY_ALONE:
        return f"{importer} imports no keras"
    if library == "tensorflow" and importer not in TENSORFLOW_IN:
        return f"only {', '.join(sorted(TENSORFLOW_IN))} import tensorflow"
    if library != PACKAGE:
        return None
    above, below = level(importer), level(part(target))
    if above is None or below is None:
        return f"{importer if above is None else part(target)} has no layer: add it to LAYERS"
    return f"{importer} is below {part(target)}" if below > above else None


def import_problems(root: Path) -> list[str]:
    found = []
    for file, node in nodes(root):
        for target in imported(root, file, node):
            problem = import_problem(part(dotted_name(root, file)), target)
            if problem:
                found.append(f"{line(root, file, node)}  <- {problem}")
    return found


def nodes(root: Path) -> Iterator[tuple[Path, ast.AST]]:
    """Yields every node of every module, those inside functions too."""
    for file in modules(root):
        for node in parsed(file.read_text(encoding="utf-8")):
            yield file, node


@functools.cache
def parsed(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def line(root: Path, file: Path, node: ast.AST) -> str:
    number = getattr(node, "lineno", 1)
    text = file.read_text(encoding="utf-8").splitlines()[number - 1].strip()
    return f"{file.relative_to(root).as_posix()}:{number}: {text}"


def is_call_of(*names: str) -> Callable[[ast.AST], bool]:
    return lambda node: (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    )


def unpickles(node: ast.AST) -> bool:
    libraries = {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in libraries for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in libraries
    if isinstance(node, ast.keyword):
        return node.arg == "allow_pickle" and not (
            isinstance(node.value, ast.Constant) and node.value.value is False
        )
    return False


def is_bare_except(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.type is None


BANNED: dict[str, Callable[[ast.AST], bool]] = {
    "print": is_call_of("print"),
    "eval and exec": is_call_of("eval", "exec"),
    "pickle": unpickles,
    "bare except": is_bare_except,
}


# What only some rooms may know. A place outside of them has a reason.
INPUT_NAMES = {
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "pixel_values",
    "input_values",
    "input_features",
    "hidden_states",
    "decoder_input_ids",
}
KNOWN_IN: dict[str, tuple[set[str], dict[str, str]]] = {
    "names of inputs": (
        {"models", "encodings", "inputs"},
        {
            "text/tokenizer_training.py": "the setting of transformers that lists them",
            "training/xla.py": "arguments of a stack of blocks",
            "explain/gradients.py": "gradients of word vectors",
        },
    ),
    "a tokenizer": (
        {"inputs", "tasks", "data", "text", "applications", "pretraining"},
        {
            "workflow.py": "cache_folder= keeps the tokens of texts",
        },
    ),
    "which task it is": (
        {"tasks", "text", "vision", "applications"},
        {
            "evaluation/label_errors.py": "confident learning is of classes",
            "training/metrics.py": "names of scikit-learn's scores are of classes or numbers",
            "deploy/scoring.py": "a column a label",
            "data/labels.py": "classes are read as written",
        },
    ),
}
TASK_NAMES = {"Classification", "MultiLabel", "Regression", "TokenClassification",
              "QuestionAnswering", "Similarity", "MaskedLM"}  # fmt: skip


def knows(what: str, node: ast.AST) -> bool:
    """Says whether a node has one of the things that only some rooms may know."""
    if what == "names of inputs":
        return isinstance(node, ast.Constant) and node.value in INPUT_NAMES
    if what == "a tokenizer":
        return isinstance(node, ast.Attribute) and node.attr == "tokenizer"
    asked = is_call_of("isinstance")(node)
    return asked and bool(TASK_NAMES & set(re.findall(r"\w+", ast.unparse(node))))


# Reads other people's pickles with an unpickler that makes nothing but stubs.
ALLOWED = {("pickle", "deploy/ktrain_files.py")}


def banned(root: Path, what: str) -> list[str]:
    return [
        line(root, file, node)
        for file, node in nodes(root)
        if BANNED[what](node) and (what, file.relative_to(root / PACKAGE).as_posix()) not in ALLOWED
    ]


# The package


def test_imports_go_down_the_layers() -> None:
    problems = import_problems(ROOT)
    assert not problems, "\n" + "\n".join(problems)


def test_every_module_has_a_layer() -> None:
    parts = {part(dotted_name(ROOT, file)) for file in modules(ROOT)}
    assert [name for name in sorted(parts) if level(name) is None] == [], "add them to LAYERS"


def test_contributing_has_the_same_layers() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    named = [set(re.findall(r"`(\w+)(?:/|\.py)`", row)) for row in rows]
    assert named == LAYERS
    (where,) = re.findall(r"^TensorFlow is imported only in (.*?); PyTorch", text, re.S | re.M)
    assert set(re.findall(r"`(\w+)(?:/|\.py)`", where)) == TENSORFLOW_IN


def test_no_module_is_too_long() -> None:
    lengths = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in modules(ROOT)}
    too_long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    assert not too_long, f"more than {MAX_LINES} lines: {too_long}"


@pytest.mark.parametrize("what", BANNED)
def test_package_does_without(what: str) -> None:
    problems = banned(ROOT, what)
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("what", KNOWN_IN)
def test_some_things_are_known_in_few_rooms(what: str) -> None:
    """And each exception is still one."""
    rooms, exceptions = KNOWN_IN[what]
    found = {}
    for file, node in nodes(ROOT):
        if knows(what, node) and part(dotted_name(ROOT, file)) not in rooms:
            name = file.relative_to(ROOT / PACKAGE).as_posix()
            found.setdefault(name, line(ROOT, file, node))
    assert found.keys() == exceptions.keys(), "\n".join(
        text for name, text in found.items() if name not in exceptions
    )


def test_encodings_and_generation_need_no_keras() -> None:
    for file, node in nodes(ROOT):
        if part(dotted_name(ROOT, file)) in ("encodings", "generation"):
            libraries = {name.split(".")[0] for name in imported(ROOT, file, node)}
            assert not libraries & {"keras", "tensorflow"}, line(ROOT, file, node)


def test_import_of_the_package_loads_no_heavy_library() -> None:
    heavy = ["tensorflow", "keras", "transformers", "torch", "pandas", "sklearn", "matplotlib"]
    script = "import json, sys, ktlite; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout)
    assert [library for library in heavy if library in loaded] == []


# The checks themselves


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Makes a small package of the given files, beside files that the imports can name."""

    def make(files: dict[str, str]) -> Path:
        common = dict.fromkeys(
            [
                "__init__",
                "_helper",
                "errors",
                "models/__init__",
                "models/bert",
                "text/readers",
                "learner",
            ],
            "",
        )
        for name, source in {**common, **files}.items():
            file = tmp_path / PACKAGE / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("models/bert", "import ktlite.learner", "models is below learner"),
        ("models/bert", "from ktlite.text import readers", "models is below text"),
        ("models/bert", "from ktlite import text", "models is below text"),
        ("models/bert", "from .. import learner", "models is below learner"),
        ("models/bert", "from ..text.readers import csv", "models is below text"),
        ("models/__init__", "from ..learner import Learner", "models is below learner"),
        ("models/bert", "def f():\n    from ktlite.learner import Learner", "below learner"),
        ("models/bert", "import importlib\nimportlib.import_module('ktlite.cli')", "below cli"),
        ("learner", "from ktlite import get_learner", "learner is below __init__"),
        ("learner", "import ktlite", "learner is below __init__"),
        ("models/bert", "from ktlite.learner import Learner, fit", "models is below learner"),
        ("learner", "import ktlite.extras", "extras has no layer"),
        ("extras", "import ktlite.errors", "extras has no layer"),
        ("_helper", "from ktlite.models import bert", "_helper is below models"),
        ("learner", "import tensorflow as tf", "import tensorflow"),
        ("text/readers", "def f():\n    from tensorflow import data", "import tensorflow"),
        ("training/loop", "import torch.nn", "nothing imports torch"),
        ("generation/loop", "from keras import ops", "generation imports no keras"),
    ],
)
def test_checker_finds_a_wrong_import(
    tree: Callable[[dict[str, str]], Path], module: str, source: str, problem: str
) -> None:
    problems = import_problems(tree({module: source}))
    assert len(problems) == 1
    assert problem in problems[0]
    number = source.count("\n") + 1
    last = source.splitlines()[-1].strip()
    assert problems[0].startswith(f"ktlite/{module}.py:{number}: {last}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("models/bert", "from ktlite.errors import KtliteError\nfrom . import bert"),
        ("models/__init__", "from .bert import spec\nfrom ..errors import KtliteError"),
        ("learner", "from .models import bert\nfrom ktlite.text import readers, names"),
        ("__init__", "from ktlite.learner import Learner\nfrom . import text"),
        ("training/loop", "import tensorflow as tf\nimport keras"),
        ("inference", "def f():\n    import tensorflow"),
        ("errors", "import torchlike\nfrom ktlite import _helper"),
        ("_helper", "from ktlite.errors import KtliteError"),
    ],
)
def test_checker_accepts_a_right_import(
    tree: Callable[[dict[str, str]], Path], module: str, source: str
) -> None:
    assert import_problems(tree({module: source})) == []


@pytest.mark.parametrize(
    ("what", "wrong", "right"),
    [
        ("print", "print('done')", "report.print()\nsprint(1)\n'print(1)'"),
        ("eval and exec", "def f(x):\n    return eval(x)", "model.eval()\nevaluate()"),
        ("eval and exec", "exec('1')", "executor.exec()"),
        ("pickle", "from pickle import load", "import picklish"),
        ("pickle", "import joblib.numpy_pickle", "import json"),
        ("pickle", "np.load(p, allow_pickle=True)", "np.load(p, allow_pickle=False)"),
        ("bare except", "try: pass\nexcept: pass", "try: pass\nexcept OSError: pass"),
    ],
)
def test_checker_finds_what_is_banned(
    tree: Callable[[dict[str, str]], Path], what: str, wrong: str, right: str
) -> None:
    assert banned(tree({"learner": right}), what) == []
    number = wrong.count("\n") + 1
    last = wrong.splitlines()[-1].strip()
    assert banned(tree({"learner": wrong}), what) == [f"ktlite/learner.py:{number}: {last}"]
