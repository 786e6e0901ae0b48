"""Tables as CSV and LaTeX: read back by the csv module, and by a reader of LaTeX that is written here."""

import csv
import html
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.resampling import Interval
from jukemir_like.report import latex, report, tables
from jukemir_like.report.tables import Cell, Column, Row, Table

EVIL = ['a,"b"', "my_<b>&100%", "{x}^~\\#$", "[1]", "*", "--", "=1+1", "'';`", "\n\x1b[31m", "ß – 音"]
SIGNS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedbl": '"',
    "ldots": "…",
}
WHOLE = {r"$-$": "−", r"$\sigma$": "σ", r"$\pm$": "±", r"$\times$": "×", r"\textsuperscript{2}": "²", "--": "–"}


def typeset(source):
    """What LaTeX prints for one cell, by its rules for the few commands that may be there: (text, bold, in italics)."""
    text, bold, italics, place, depth = "", False, False, 0, 0
    while place < len(source):
        rest = source[place:]
        whole = next((one for one in WHOLE if rest.startswith(one)), None)
        if whole:
            text += WHOLE[whole]
            place += len(whole)
            continue
        command = re.match(r"\\([a-zA-Z]+) *", rest)
        if command:
            name = command[1]
            bold, italics = bold or name == "textbf", italics or name == "emph"
            if name in SIGNS:
                text += SIGNS[name]
            else:
                assert name in ("textbf", "emph", "texttt", "footnotesize"), name
            place += command.end()
        elif rest[0] == "\\":
            assert rest[1] in "&%$#_{}", rest
            text += rest[1]
            place += 2
        elif rest[0] in "{}":
            depth += 1 if rest[0] == "{" else -1
            assert depth >= 0, source
            place += 1
        else:
            assert rest[0] not in '&%#_^~<>|"$', source
            text += rest[0]
            place += 1
    assert depth == 0, source
    return text, bold, italics


def rows_of_latex(source):
    """Cells of every line of a tabular, headers included; the names of the rules between them."""
    assert source.startswith("% ")
    lines = source.splitlines()[1:]
    alignment = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[0])[1]
    assert lines[-1] == r"\end{tabular}"
    rules = [line for line in lines if re.fullmatch(r"\\(top|mid|bottom)rule", line)]
    assert rules[0] == r"\toprule"
    assert rules[-1] == r"\bottomrule"
    rows = []
    for line in lines[1:-1]:
        if line in rules:
            continue
        assert line.endswith(r" \\")
        assert not line.startswith(("[", "*"))  # would be an option of the line before
        cells = re.split(r"(?<!\\) ?&(?: |$)", line[:-3])
        assert len(cells) == len(alignment) or cells[0].startswith(r"\multicolumn{" + str(len(alignment)))
        rows.append(cells)
    return rows


def rows_of_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def table_of(names):
    """A row per name, with a value, an interval and words."""
    columns = (Column("test, %"), Column("R²", ("a_b",)), Column("reason", text=True))
    rows = tuple(Row((Cell(name), Cell("−0.6", "−2.3", "0.0", best=index == 0), Cell(name))) for index, name in enumerate(names))
    return Table("t", "scores of a & b", columns, rows)


def test_csv_gives_back_every_name_and_number():
    rows = rows_of_csv(table_of(EVIL).csv())
    assert [row["test, %"] for row in rows] == [name.replace("\n", r"\n").replace("\x1b", r"\x1b") for name in EVIL]
    assert {(row["R², a_b"], row["R², a_b low"], row["R², a_b high"]) for row in rows} == {("-0.6", "-2.3", "0.0")}
    assert [row["best"] for row in rows] == ["R², a_b", *[""] * (len(EVIL) - 1)]


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_latex_prints_a_name_as_it_is(name):
    escaped = latex.escape(name)
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in name)
    assert typeset(escaped)[0] == shown
    for ligature in ("--", "''", "``", "?`", "!`", ",,"):
        assert ligature not in escaped.replace("--", "", shown.count("–"))


def test_latex_has_the_table_with_bold_and_intervals():
    header, below, *rows = rows_of_latex(latex.tabular(table_of(["mfcc", "100 %"])))
    assert [typeset(cell)[0] for cell in header] == ["test, %", "R²", "reason"]
    assert [typeset(cell)[0] for cell in below] == ["", "a_b", ""]
    assert [[typeset(cell) for cell in row[:2]] for row in rows] == [
        [("mfcc", False, False), ("−0.6 [−2.3, 0.0]", True, False)],
        [("100 %", False, False), ("−0.6 [−2.3, 0.0]", False, False)],
    ]


def test_what_others_published_stands_below_a_rule_in_italics_and_is_marked_in_csv():
    rows = (Row((Cell("ours"), Cell("1.0"))), Row((Cell("published"),), "caption"), Row((Cell("theirs"), Cell("–")), "published"))
    table = Table("t", "scores", (Column("test, %"), Column("key")), rows)
    source = latex.tabular(table)
    assert source.count(r"\midrule") == 2
    assert [typeset(cell)[1:] for cell in rows_of_latex(source)[-1]] == [(False, True)] * 2
    assert [(row["rows"], row["key"]) for row in rows_of_csv(table.csv())] == [("", "1.0"), ("published", "")]


def test_a_score_is_in_percent_and_has_both_ends_or_none():
    cell = tables.score(Interval(-0.004, -0.5, 0.25, 0), below=["layer 3"])
    assert (cell.text, cell.low, cell.high, cell.below) == ("−0.4", "−50.0", "25.0", ("layer 3",))
    assert tables.score(Interval(1.0, None, None, 0)).ends == ""
    assert tables.score(Interval(float("nan"), None, None, 0)).text == "–"


# The page


def text_of(markup):
    return html.unescape(re.sub(r"<.*?>", "", markup)).strip()


def tables_on(page):
    """Anchor of a table → (rows of cells in HTML, CSV, LaTeX) of all tables of a page."""
    found = {}
    copied = r'.*?id="\1-latex"[^>]*>\n(.*?)</textarea>.*?id="\1-csv"[^>]*>\n(.*?)</textarea>'
    pattern = r'<div class="scroll[^"]*" id="([^"]*)".*?<table>(.*?)</table>' + copied
    for anchor, body, in_latex, in_csv in re.findall(pattern, page, flags=re.DOTALL):
        rows = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)
            for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body, flags=re.DOTALL)
        ]
        found[anchor] = rows, html.unescape(in_csv), html.unescape(in_latex)
    assert len(found) == page.count("<table>")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory, make_run, make_stages, tasks):
    from jukemir_like.core.cache import Cache

    cache = Cache(tmp_path_factory.mktemp("tables"))
    for name, quality in (("mfcc", 0.9), ("my_<b>&_{x}", 0.3), ("trivial", 0)):
        make_run(cache, "gtzan_ff", name, tasks["genre"], quality)
        make_run(cache, "band", name, tasks["key"], quality)
        make_run(cache, "band", name, tasks["emotion"], quality)
    make_stages(cache, "band", [tasks["key"]], ["mfcc"], {"a & b.wav": "is <empty>, 100 %"})
    return report.report(cache).page.read_text()


def test_every_table_can_be_copied_and_says_the_same_in_all_three_forms(page):
    found = tables_on(page)
    assert {"results", "scores-0", "differences-0", "stages", "failures", "runs"} <= set(found)
    for (header, *rows), in_csv, in_latex in found.values():
        rows = [row for row in rows if 'class="' in "".join(row) or len(row) == len(header)]
        of_csv, of_latex = rows_of_csv(in_csv), rows_of_latex(in_latex)
        names = list(of_csv[0])
        values = [row for row in rows if not text_of(row[0]).startswith("published, not")]
        assert len(of_csv) == len(values)
        captions = [row for row in of_latex if row[0].startswith(r"\multicolumn")]
        depth = len(of_latex) - len(values) - len(captions)
        assert depth >= 1
        body = [row for row in of_latex[depth:] if row not in captions]
        for cells, line, source in zip(values, of_csv, body, strict=True):
            assert len(cells) == len(source) == len(header)
            for place, (cell, typed) in enumerate(zip(cells, source, strict=True)):
                shown = text_of(re.sub(r"<small>.*?</small>", "", cell))
                column = ", ".join(
                    [text_of(re.sub(r"<small>.*", "", header[place])), *map(text_of, re.findall(r"<small>(.*?)</small>", header[place]))]
                )
                assert column in names
                assert line[column].replace("-", "−") == shown.replace("-", "−") or (shown, line[column]) == ("–", "")
                assert typeset(typed)[0].startswith(shown)
                ends = re.findall(r"<small>(−?[\d.]+) – (−?[\d.]+)</small>", cell)
                if ends:
                    low, high = (end.replace("−", "-") for end in ends[0])
                    assert (line[f"{column} low"], line[f"{column} high"]) == (low, high)
                    assert typeset(typed)[0].endswith(f"[{ends[0][0]}, {ends[0][1]}]")


def test_bold_cells_of_the_page_are_bold_in_latex_and_named_in_csv(page):
    found = tables_on(page)
    first = page[: page.index("</table>")]
    bold = [text_of(re.sub(r"<small>.*?</small>", "", cell)) for cell in re.findall(r'<td class="best"[^>]*>(.*?)</td>', first)]
    assert bold
    _, in_csv, in_latex = found["results"]
    assert [typeset(cell)[0].split(" ")[0] for row in rows_of_latex(in_latex) for cell in row if r"\textbf" in cell] == bold
    assert [row[column] for row in rows_of_csv(in_csv) for column in row["best"].split("; ") if column] == bold


def test_averages_stand_behind_the_names_and_stay_in_sight(page):
    header, *_ = tables_on(page)["results"][0]
    assert [text_of(re.sub(r"<small>.*", "", cell)) for cell in header[:2]] == ["test, %", "average"]
    assert re.search(r'<div class="scroll named pin1[^"]*" id="results" role="region" aria-label="[^"]+" tabindex="0">', page)


def test_buttons_appear_only_with_the_script_and_name_their_text(page):
    buttons = re.findall(r'<button type="button" data-copies="([^"]*)" hidden>', page)
    assert len(buttons) == 2 * page.count("<table>")
    assert all(f'<textarea id="{anchor}" readonly' in page and f'<label for="{anchor}">' in page for anchor in buttons)


def test_numbers_of_csv_are_those_that_pandas_reads(page):
    import pandas as pd

    frame = pd.read_csv(io.StringIO(tables_on(page)["results"][1]))
    value = frame.set_index("test, %")["genre, accuracy, gtzan_ff, linear"]
    assert value.dtype == np.float64
    assert value["mfcc"].max() > value["trivial"].max()
