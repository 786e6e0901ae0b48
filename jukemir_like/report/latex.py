"""A table of the page as LaTeX, with the rules of the package booktabs. Names stay the text that they are, whatever LaTeX makes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jukemir_like.core.files import printable
from jukemir_like.report.tables import Cell, Row, Table

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "²": r"\textsuperscript{2}",
    "σ": r"$\sigma$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
}
_LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=`)(?=`)|(?<=[?!])(?=`)|(?<=,)(?=,)")


def escape(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> print(escape("my_<b> & 100%"))
    my\_\textless{}b\textgreater{} \& 100\%

    Pairs that a font would draw as one sign are kept apart, and what LaTeX would take for an option of a line's end is in braces:

    >>> print(escape("--x"), escape("[a]"), escape("*"))
    -{}-x {[}a] {*}
    """
    parts = _LIGATURES.split(printable(text))
    joined = "{}".join("".join(_SPECIAL.get(character, character) for character in part) for part in parts)
    return f"{{{joined[0]}}}{joined[1:]}" if joined[:1] in ("[", "*") else joined


def tabular(table: Table) -> str:
    r"""The table as an environment ``tabular``: bold where the page has it, intervals in brackets, others' results in italics.

    >>> from jukemir_like.report.tables import Column
    >>> row = Row((Cell("mfcc"), Cell("56.5", "51.2", "61.0", best=True)))
    >>> print(tabular(Table("t", "scores", (Column("test, %"), Column("genre")), (row,))), end="")
    % scores; needs \usepackage{booktabs}, for some signs \usepackage[T1]{fontenc}
    \begin{tabular}{lr}
    \toprule
    test, \% & genre \\
    \midrule
    mfcc & \textbf{56.5} {\footnotesize [51.2, 61.0]} \\
    \bottomrule
    \end{tabular}
    """
    aligned = "".join("l" if place == 0 or column.text else "r" for place, column in enumerate(table.columns))
    lines = [
        rf"% {_comment(table.title)}; needs \usepackage{{booktabs}}, for some signs \usepackage[T1]{{fontenc}}",
        rf"\begin{{tabular}}{{{aligned}}}",
        r"\toprule",
    ]
    depth = max(1 + len(column.below) for column in table.columns)
    for level in range(depth):
        names = [(column.name, *column.below)[level : level + 1] for column in table.columns]
        lines.append(_line([escape(name[0]) if name else "" for name in names]))
    lines.append(r"\midrule")
    for number, row in enumerate(table.rows):
        if row.kind == "caption":
            rule = [] if number == 0 else [r"\midrule"]
            lines += [*rule, rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\emph{{{escape(row.cells[0].text)}}}}} \\"]
        else:
            lines.append(_line([_cell(cell, row) for cell in row.cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(cell: Cell, row: Row) -> str:
    text = escape(cell.text)
    if not text:
        return ""
    if cell.best or row.best:
        text = rf"\textbf{{{text}}}"
    elif row.kind == "published":
        text = rf"\emph{{{text}}}"
    elif cell.code:
        text = rf"\texttt{{{text}}}"
    if cell.low:
        text += rf" {{\footnotesize [{escape(cell.low)}, {escape(cell.high)}]}}"
    return text + "".join(rf" {{\footnotesize {escape(line)}}}" for line in cell.below)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _comment(text: str) -> str:
    return printable(text)
