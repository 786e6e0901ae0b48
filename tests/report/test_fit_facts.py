"""How probes were selected and fitted, on the page: whatever ``fit`` of ``run.json`` holds is shown or left out, and is never a fault."""

import json

import pytest

from jukemir_like.report import fit_facts
from jukemir_like.report.report import report

SPLIT = {"selected_by": "loss", "held_out": "split", "held_out_items": 75, "fitted_on": 675, "end_of_path": None, "weakest_fitted": None}
FOLDS = {**SPLIT, "held_out": "folds", "folds": 5, "held_out_items": 1600, "fitted_on": 1600}


def test_what_all_rows_have_in_common_is_said_once(cache, make_run, tasks):
    runs = {name: [make_run(cache, "band", name, tasks["genre"], 0.5, fit=SPLIT)] for name in ("chroma", "mfcc")}
    expected = "Probes: selected by the loss on held-out items; held out: the validation split, 75 items; fitted on 675 items."
    assert fit_facts.lines(runs) == [expected]
    assert fit_facts.at_an_end(runs) == ""
    assert expected in report(cache).page.read_text()


def test_what_differs_is_said_with_the_names(cache, make_run, tasks):
    runs = {
        "chroma": [make_run(cache, "band", "chroma", tasks["genre"], 0.5, fit=SPLIT)],
        "mfcc": [make_run(cache, "band", "mfcc", tasks["genre"], 0.5, fit={**FOLDS, "end_of_path": "weakest"})],
    }
    first, *others = fit_facts.lines(runs)
    assert first == "Probes: selected by the loss on held-out items."
    assert "Held out: the validation split, 75 items (chroma), 5 folds, 1,600 items (mfcc)." in others
    warning = "Selected was the weakest regularisation of the path, so a longer one may do better: mfcc."
    assert fit_facts.at_an_end(runs) == warning
    assert warning in report(cache).page.read_text()


@pytest.mark.parametrize("fit", [None, [], "x", 3, {}, {"unknown": [1, None, {"a": "<b>"}]}, {"held_out_items": "many", "fitted_on": None}])
def test_no_other_form_of_the_field_stops_the_page(cache, make_run, tasks, fit):
    runs = {"chroma": [make_run(cache, "band", "chroma", tasks["genre"], 0.5, fit=fit)]}
    assert "<b>" not in report(cache).page.read_text().replace("<b>Bold</b>", "").replace("<b>chroma</b>", "")
    told = " ".join(fit_facts.lines(runs))
    assert ("unknown: " + json.dumps([1, None, {"a": "<b>"}]) in told) == (isinstance(fit, dict) and "unknown" in fit)


def test_the_details_of_a_run_have_all_facts(cache, make_run, tasks):
    make_run(cache, "band", "chroma", tasks["genre"], 0.5, fit=FOLDS | {"epochs": 33})
    text = report(cache).page.read_text()
    assert "held out: 5 folds, 1,600 items; fitted on 1,600 items; epochs: 33</td>" in text[text.index('id="runs"') :]
