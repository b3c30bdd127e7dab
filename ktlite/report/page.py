"""The page around the sections of a report: structure, typography, colours for day and night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# Nothing but styles and inline pictures: what a text holds cannot run, nor reach the network.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f6f7f8; --ink: #1d2329; --faint: #5f6b76; --line: #dfe3e7;
  --blue: #0072b2; --vermilion: #c45500; --green: #00785a; --purple: #99338a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #191d21; --ground: #121518; --ink: #e4e8eb; --faint: #98a3ad; --line: #2f363d;
    --blue: #56b4e9; --vermilion: #f08a3c; --green: #2bc79b; --purple: #d68acb;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header h1 { font-size: 1.7rem; line-height: 1.25; font-weight: 650; margin: 0;
            overflow-wrap: anywhere; }
header p { margin: .3rem 0 0; color: var(--faint); }
nav { margin: 1.4rem 0 0; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; font-size: .92rem; }
a { color: var(--blue); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
section {
  background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 1.35rem 1.5rem 1.5rem; margin-top: 1.25rem;
}
h2 { font-size: 1.12rem; font-weight: 650; margin: 0 0 .8rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; }
.note { color: var(--faint); font-size: .92rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
        font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .75rem .42rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid var(--line); }
tr:last-child > td { border-bottom: 0; }
th { font-weight: 500; color: var(--faint); white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
         gap: 1rem 1.5rem; }
.tile .name { color: var(--faint); font-size: .88rem; }
.tile .value { font-size: 1.65rem; line-height: 1.3; font-weight: 600;
               font-variant-numeric: tabular-nums; }
.tile .more { color: var(--faint); font-size: .85rem; font-variant-numeric: tabular-nums; }
.mark { display: inline-block; min-width: 3rem; font-size: .85rem; font-weight: 600; }
.mark.ok { color: var(--green); } .mark.look { color: var(--vermilion); }
.advice { color: var(--vermilion); }
.bar { display: inline-block; height: .65rem; min-width: 1px; border-radius: 2px;
       background: var(--blue); width: calc(var(--share) * 100%); }
td.bars { width: 45%; }
.confusion { width: auto; }
.confusion td { text-align: center; min-width: 4.2rem; padding: .55rem .6rem;
                border: 2px solid var(--paper); }
.confusion td {
  background: color-mix(in srgb, var(--hue) calc(var(--share) * 55%), var(--ground));
}
.confusion td.hit { --hue: var(--blue); } .confusion td.miss { --hue: var(--vermilion); }
.confusion th { text-align: right; padding-right: .75rem; border: 0; max-width: 12rem;
                overflow: hidden; text-overflow: ellipsis; vertical-align: middle; }
.confusion thead th { text-align: center; padding: 0 .5rem .35rem; }
figure { margin: 0 0 1rem; } figure:last-child { margin-bottom: 0; }
figure svg { display: block; width: 100%; max-width: 42rem; height: auto; }
figure svg text { white-space: pre; }
pre { margin: 0; font: .84rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
      overflow-x: auto; white-space: pre; }
.example { padding: .9rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.example:first-of-type { border-top: 0; padding-top: 0; }
.example .head { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .9rem; }
.example .head span { color: var(--faint); } .example .head b { font-weight: 600; }
.example .text { white-space: pre-wrap; margin: .4rem 0 0; }
/* Explanations bring their own type. */
.ktlite-explanation { font-family: inherit !important; margin-top: .2rem; }
summary { cursor: pointer; color: var(--blue); font-size: .92rem; margin-top: .9rem; }
footer { color: var(--faint); font-size: .85rem; margin-top: 1.5rem; }
@media (max-width: 34rem) {
  main { padding: 1.5rem .75rem 2.5rem; } section { padding: 1.1rem 1rem; }
  header h1 { font-size: 1.4rem; } td.bars { width: 30%; }
}
@media print {
  :root { --paper: #fff; --ground: #fff; --ink: #111; --faint: #555; --line: #ccc;
          --blue: #0072b2; --vermilion: #c45500; --green: #00785a; --purple: #99338a; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  section { border: 0; padding: 0; margin-top: 1.6rem; }
  h2, h3, tr, figure, .tile { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: Its heading.
        parts: HTML, with all that comes from outside escaped.
    """

    title: str
    parts: Sequence[str]

    @property
    def anchor(self) -> str:
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def page(title: str, subtitle: str, sections: Sequence[Section], footer: str) -> str:
    """Returns a whole HTML document; `title`, `subtitle` and `footer` are escaped here."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in sections)
    body = "\n".join(
        f'<section id="{s.anchor}">\n<h2>{escape(s.title)}</h2>\n' + "\n".join(s.parts)
        + "\n</section>" for s in sections
    )  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p>\n</header>\n"
        f"<nav>{links}</nav>\n{body}\n<footer>{escape(footer)}</footer>\n</main>\n</body>\n</html>\n"
    )
