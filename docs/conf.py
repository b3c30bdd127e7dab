"""Settings of the documentation site: `make docs` builds it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from pathlib import Path

import jieba

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))
# The reference is read from docstrings: nothing may start a device or write to the terminal.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

project = "ktlite"
author = "The ktlite authors"
copyright = "the ktlite authors, Apache-2.0"
version = re.search(r'"(.+)"', (ROOT / "ktlite" / "_version.py").read_text()).group(1)
release = version

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
suppress_warnings = ["mystnb.unknown_mime_type"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
# Notebooks are executed by `make notebooks`, and shown as they are stored.
nb_execution_mode = "off"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = True
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "ktlite"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
# Search works without a server's help, in Chinese too (jieba splits its words).
html_search_language = "zh"
jieba.setLogLevel(logging.WARNING)

# Pages that stand elsewhere in the repository, and where the site has them.
ELSEWHERE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.zh-CN.md": "project/zh.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/results/compare.md": "project/compare.md",
    "benchmarks/results/compare.png": "project/compare.png",
    "benchmarks/results/generation.md": "project/generation.md",
    "benchmarks/results/images.md": "project/images.md",
    **{
        f"notebooks/{path.name}": f"tutorials/{path.name}"
        for path in (ROOT / "notebooks").glob("*.ipynb")
    },
}
# What is shown where a link leads to a folder, or to the page that the site's first one repeats.
FIRST = {"docs": "index.md", "README.md": "index.md"}
# Tables that scripts wrote have no heading.
HEADINGS = {
    "compare.md": "Figures of whole jobs",
    "generation.md": "Figures of models that write",
    "images.md": "Figures of images",
}
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?\)")


def links_of_site(text: str, written_in: Path, shown_in: Path) -> str:
    """Returns Markdown whose links to files of the repository lead to the site's pages.

    Args:
        text: Markdown.
        written_in: The file that it stands in.
        shown_in: The file in `docs` that the site shows it as.
    """

    def link(match: re.Match[str]) -> str:
        target = (written_in.parent / match[2]).resolve()
        if ":" in match[2] or not target.is_relative_to(ROOT):
            return match[0]
        inside = (ELSEWHERE | FIRST).get(target.relative_to(ROOT).as_posix())
        target = DOCS / inside if inside else target
        return "](" + os.path.relpath(target, shown_in.parent) + (match[3] or "") + ")"

    return LINK.sub(link, text)


def bring_in(app):
    """Copies what stands elsewhere to where the site has it; git ignores these copies."""
    for source, name in ELSEWHERE.items():
        copy = DOCS / name
        copy.parent.mkdir(exist_ok=True)
        if copy.suffix == ".png":
            shutil.copyfile(ROOT / source, copy)
            continue
        text = (ROOT / source).read_text(encoding="utf-8")
        if copy.parent.name == "project" and copy.name in HEADINGS:
            text = f"# {HEADINGS[copy.name]}\n\n{text}"
        copy.write_text(links_of_site(text, ROOT / source, copy), encoding="utf-8")


def relink(app, name, source):
    page = DOCS / f"{name}.md"
    if page.is_file() and name.split("/")[0] not in ("project", "tutorials"):
        source[0] = links_of_site(source[0], page, page)


def plain_code(app, what, name, obj, options, lines):
    """Makes RST of docstrings, in which single backticks are code and a star is a star."""
    text = re.sub(r"(?<![`:\w])`([^`]+)`(?![`_])", r"``\1``", "\n".join(lines))
    text = re.sub(r"``(?=[a-z])(?<=\w``)", "``\\\\ ", text)
    lines[:] = re.sub(r"(?<=/)\*(?=\.)", r"\\*", text).split("\n")


def setup(app):
    app.connect("builder-inited", bring_in)
    app.connect("source-read", relink)
    # Before Napoleon, which writes stars of its own.
    app.connect("autodoc-process-docstring", plain_code, priority=400)
