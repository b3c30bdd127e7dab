"""What the pages say is true of the code: links, names, arguments, options, the reference."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import pytest

import ktlite
from ktlite.cli.main import make_parser

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if not path.is_relative_to(ROOT / "docs" / "project")
)
BLOCK = re.compile(r"^( *)```(python|sh|\{eval-rst\})?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# What a variable of these names holds, on every page.
HOLDS = {"learner": ktlite.Learner, "predictor": ktlite.Predictor}
_MODULES = ("models", "sklearn", "tasks", "text", "vision")
MODULES = {"text": "text", "txt": "text", "vision": "vision", "vis": "vision", "tasks": "tasks"}


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, kind: str) -> Iterator[str]:
    """Yields the blocks of code of a kind, without what they are indented by."""
    for indent, found, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if found == kind:
            yield re.sub(f"^{indent}", "", code, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub and the site give to a page's headings."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"there is no {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{target} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_code_uses_names_and_arguments_that_exist(page: Path) -> None:
    for code in blocks(page, "python"):
        nodes = list(ast.walk(ast.parse(code)))
        stored = {node.id for node in nodes if _is_stored(node)} & set(MODULES)
        for node in nodes:
            if isinstance(node, ast.Attribute):
                _resolve(node, stored)
            if isinstance(node, ast.Call):
                _check_call(node, stored)


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _resolve(node: ast.expr, stored: set[str]) -> Any:
    """Returns what an expression names, None where it is none of ktlite's.

    Args:
        node: A name, or a name with attributes.
        stored: Names of modules that the block gives to something else.
    """
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, stored)
        if owner is None:
            return None
        assert hasattr(owner, node.attr), f"{ast.unparse(node)}: there is no such name"
        found = getattr(owner, node.attr)
        of_ours = inspect.isroutine(found) or inspect.isclass(found) or inspect.ismodule(found)
        return found if of_ours else None
    if isinstance(node, ast.Name):
        if node.id in ("ktlite", "ktrain"):
            return ktlite
        if node.id in MODULES and node.id not in stored:
            return getattr(ktlite, MODULES[node.id])
        return HOLDS.get(node.id)
    return None


def _check_call(node: ast.Call, stored: set[str]) -> None:
    if isinstance(node.func, ast.Name) and node.func.id in ktlite.__all__:
        called = getattr(ktlite, node.func.id)
    else:
        called = _resolve(node.func, stored)
    if called is None:
        return
    parameters = inspect.signature(called).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for keyword in node.keywords:
        known = keyword.arg is None or keyword.arg in parameters
        assert known, f"{ast.unparse(node.func)} takes no {keyword.arg}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_have_the_options_that_are_shown(page: Path) -> None:
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for code in [*blocks(page, "sh"), *blocks(page, "")]:
        for line in code.replace("\\\n", " ").splitlines():
            words = line.partition("#")[0].partition(" | ")[0].split()
            if len(words) < 2 or words[0] != "ktlite":
                continue
            assert words[1] in commands or words[1].startswith("-"), f"there is no {words[1]}"
            options = {word.partition("=")[0] for word in words[2:] if re.match("--?[a-z]", word)}
            if words[1] != "launch":  # what follows is another program's
                assert options <= set(commands[words[1]]._option_string_actions), line


def test_the_reference_has_every_public_name_and_no_other() -> None:
    modules = {"ktlite": ktlite, **{f"ktlite.{name}": getattr(ktlite, name) for name in _MODULES}}
    public = {
        f"{prefix}.{name}"
        for prefix, module in modules.items()
        for name in module.__all__
        if name not in (*_MODULES, "errors", "__version__")
    }
    listed: list[str] = []
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for code in blocks(page, "{eval-rst}"):
            listed += re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)", code, re.MULTILINE)
    elsewhere = {name for name in listed if name.startswith(("ktlite.deploy", "ktlite.errors"))}
    assert sorted(set(listed) - elsewhere) == sorted(public)
    assert len(listed) == len(set(listed))
    assert set(ktlite.__all__) <= set(dir(ktlite))
