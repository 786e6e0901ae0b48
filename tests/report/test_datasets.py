"""What an audit found stands on the page, beside the scores and with its dataset."""

from jukemir_like.audit import audit
from jukemir_like.core.atomic import write_json
from jukemir_like.report.report import report


def audited(cache, make_run, make_stages, tasks, artist="Ann"):
    make_run(cache, "band", "chroma", tasks["genre"], 0.5)
    make_stages(cache, "band", [tasks["genre"]], ["chroma"])
    splits = {"a": "train", "b": "test", "c": "test", "d": "valid"}
    genre = tasks["genre"].labels[0]
    records = {uid: {"split": split, "y": genre, "extra": {"artist": artist if uid in "ab" else uid}} for uid, split in splits.items()}
    write_json(cache.processed("band") / "meta.json", records)
    audit.audit(cache, "band")
    return cache


def test_the_sentence_stands_with_the_score_and_the_table_with_the_dataset(cache, make_run, make_stages, tasks):
    text = report(audited(cache, make_run, make_stages, tasks)).page.read_text()
    sentence = "50 % of the test items (1 of 2) have an artist that is in training too."
    assert text.count(sentence) == 2
    assert text.index("protocol linear") < text.index(sentence) < text.index('id="datasets"') < text.rindex(sentence)
    assert 'href="#audit-0"' in text
    assert 'id="audit-0"' in text
    assert "artists in several splits</td><td>1 of 3</td>" in text


def test_names_cannot_break_the_page(cache, make_run, make_stages, tasks):
    text = report(audited(cache, make_run, make_stages, tasks, "<script>alert(1)</script>")).page.read_text()
    assert text.count("<script") == 1  # the page's own
    assert "&lt;script&gt;" in text


def test_an_audit_of_other_labels_is_not_shown(cache, make_run, make_stages, tasks):
    audited(cache, make_run, make_stages, tasks)
    path = cache.processed("band") / "meta.json"
    path.write_text(path.read_text().replace("Ann", "Bob"))
    text = report(cache).page.read_text()
    assert "Audit of" not in text
    assert "that is in training too" not in text
