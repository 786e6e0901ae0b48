"""``Extractor`` under scikit-learn's conventions: clone, pickle, pipelines, cross-validation, searches, names of the columns."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import check_is_fitted

import jukemir_like as jl

PLUGIN = Path(__file__).parents[1] / "fixtures" / "plugin"


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    """The representation ``level`` of another package."""
    monkeypatch.syspath_prepend(PLUGIN)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Twelve clips, half of them low and half of them high: ``(paths, arrays at 16 kHz, labels)``."""
    folder = tmp_path_factory.mktemp("songs")
    random = np.random.default_rng(0)
    paths, arrays, labels = [], [], []
    for number in range(12):
        label = ("low", "high")[number % 2]
        time = np.arange(8000 + 100 * number) / 16000
        tone = np.sin(2 * np.pi * {"low": 200, "high": 2000}[label] * random.uniform(0.8, 1.2) * time)
        arrays.append((0.5 * tone + 0.01 * random.standard_normal(len(time))).astype(np.float32))
        paths.append(str(folder / f"{number}.wav"))
        soundfile.write(paths[-1], arrays[-1], 16000, subtype="FLOAT")
        labels.append(label)
    return paths, arrays, np.array(labels)


@pytest.mark.parametrize("name", ["chroma", "mfcc", "stemjepa", "level"])
def test_it_gives_the_vectors_of_the_representation(name, songs):
    paths, arrays, labels = songs
    expected = jl.load_representation(name)(paths)
    np.testing.assert_array_equal(jl.Extractor(name).fit(paths, labels).transform(paths), expected)
    np.testing.assert_array_equal(jl.Extractor(name, sample_rate=16000).fit_transform(arrays, labels), expected)
    np.testing.assert_array_equal(jl.Extractor(name).transform(paths), expected)  # nothing is to be fitted


def test_every_row_of_x_is_a_clip(songs):
    paths, arrays, _ = songs
    same_length = np.stack([array[:8000] for array in arrays])
    extractor = jl.Extractor("level", sample_rate=16000)
    expected = jl.load_representation("level")([array[:8000] for array in arrays], sample_rate=16000)
    np.testing.assert_array_equal(extractor.transform(same_length), expected)
    np.testing.assert_array_equal(extractor.transform(np.repeat(same_length[:, None], 2, axis=1)), expected)
    assert extractor.transform(same_length[:1]).shape == (1, 3)
    assert extractor.transform([]).shape == (0, 3)
    for X in (np.array(paths), np.array(paths, dtype=object)[:, None], pd.Series(paths), pd.DataFrame({"path": paths}), tuple(paths)):
        np.testing.assert_array_equal(extractor.transform(X), jl.load_representation("level")(paths))


def test_faults_are_those_of_the_representation(songs):
    paths, arrays, _ = songs
    with pytest.raises(jl.RequestError, match=r"clips are .+, not str"):
        jl.Extractor("level").transform(paths[0])
    with pytest.raises(jl.RequestError, match="sample_rate is missing"):
        jl.Extractor("level").transform(arrays)
    with pytest.raises(jl.InputError, match=r"^no\.wav: cannot be read"):
        jl.Extractor("level").transform([paths[0], "no.wav"])
    for extractor in (jl.Extractor("nosuch"), jl.Extractor("mfcc", weights="mine")):  # told when it is fitted, as scikit-learn wants
        with pytest.raises(jl.RequestError):
            extractor.fit(paths)


def test_a_clone_has_the_parameters_and_nothing_else(songs):
    extractor = jl.Extractor("stemjepa", sample_rate=16000, precision="bf16").fit(songs[0])
    copy = clone(extractor)
    assert copy.get_params() == {"representation": "stemjepa", "sample_rate": 16000, "precision": "bf16"} == extractor.get_params()
    assert vars(copy).keys() == {"representation", "sample_rate", "_options"}
    copy.set_params(precision="32")
    assert extractor.get_params()["precision"] == "bf16"
    assert repr(extractor) == "Extractor(precision='bf16', representation='stemjepa', sample_rate=16000)"


def test_parameters_that_change_after_use_count(songs):
    paths, arrays, _ = songs
    extractor = jl.Extractor("level").fit(paths)
    assert extractor.transform(paths).shape == (12, 3)
    assert extractor.set_params(representation="mfcc") is extractor
    assert extractor.transform(paths).shape == (12, 120)
    extractor.representation = "chroma"
    assert extractor.transform(paths).shape == (12, 72)
    extractor.set_params(backend="nosuch", representation="mfcc")
    with pytest.raises(jl.RequestError, match="unknown backend 'nosuch'"):
        extractor.transform(paths)
    extractor.set_params(backend=None, sample_rate=16000)
    np.testing.assert_array_equal(extractor.transform(arrays), jl.load_representation("mfcc")(paths))


def test_an_object_of_one_s_own_class_is_a_parameter(songs):
    level = jl.representations.load("level")
    extractor = clone(jl.Extractor(level))
    np.testing.assert_array_equal(extractor.transform(songs[0]), jl.Extractor("level").transform(songs[0]))


def test_a_pickle_holds_the_parameters_and_not_the_network(songs):
    extractor = jl.Extractor("stemjepa", precision="32")
    vectors = extractor.fit_transform(songs[0])
    pickled = pickle.dumps(extractor)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).transform(songs[0]), vectors)
    np.testing.assert_array_equal(extractor.transform(songs[0]), vectors)


@pytest.mark.parametrize("kind", ["paths", "arrays"])
def test_in_a_pipeline_it_is_cross_validated(kind, songs):
    X = songs[0] if kind == "paths" else songs[1]
    classifier = make_pipeline(jl.Extractor("mfcc", sample_rate=16000), StandardScaler(), LogisticRegression())
    scores = cross_val_score(classifier, X, songs[2], cv=3)
    np.testing.assert_array_equal(scores, 1)
    fitted = classifier.fit(X, songs[2])
    check_is_fitted(fitted)
    assert fitted.predict(X[:4]).tolist() == songs[2][:4].tolist()


def test_processes_of_a_cross_validation_load_it_themselves(songs):
    classifier = make_pipeline(jl.Extractor("chroma"), LogisticRegression())
    assert cross_val_score(classifier, songs[0], songs[2], cv=2, n_jobs=2).shape == (2,)


def test_representations_and_their_options_can_be_searched(songs):
    pipeline = Pipeline([("extract", jl.Extractor()), ("scale", StandardScaler()), ("classify", LogisticRegression())])
    grid = [{"extract__representation": ["level", "mfcc"]}, {"extract__representation": ["stemjepa"], "extract__precision": ["32", "bf16"]}]
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(songs[0], songs[2])
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ == 1


def test_columns_have_names(songs):
    names = jl.Extractor("mfcc").get_feature_names_out()
    assert (names[0], names[-1], len(names), names.dtype) == ("mfcc_0", "mfcc_119", 120, object)
    table = jl.Extractor("level").set_output(transform="pandas").fit_transform(pd.Series(songs[0], index=range(5, 17)))
    assert table.columns.tolist() == ["level_0", "level_1", "level_2"]
    pipeline = make_pipeline(jl.Extractor("level"), StandardScaler()).fit(songs[0])
    assert pipeline.get_feature_names_out().tolist() == ["level_0", "level_1", "level_2"]


def test_it_takes_one_column_of_a_table(songs):
    table = pd.DataFrame({"path": songs[0], "tempo": np.arange(12.0)})
    columns = ColumnTransformer([("audio", jl.Extractor("level"), ["path"]), ("numbers", "passthrough", ["tempo"])])
    matrix = columns.fit_transform(table)
    np.testing.assert_array_equal(matrix[:, :3], jl.load_representation("level")(songs[0]))
    assert columns.get_feature_names_out().tolist() == ["audio__level_0", "audio__level_1", "audio__level_2", "numbers__tempo"]


@pytest.mark.parametrize(
    "check",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_scikit_learn_s_own_checks_pass_as_far_as_they_need_no_matrix(check):
    getattr(estimator_checks, check)("Extractor", jl.Extractor())


def test_its_tags_say_that_it_takes_anything_and_needs_no_fit():
    tags = get_tags(jl.Extractor())
    assert (tags.requires_fit, tags.no_validation, tags.input_tags.string, tags.target_tags.required) == (False, True, True, False)


def test_without_scikit_learn_it_is_one_line_and_the_rest_works():
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import jukemir_like as jl\n"
        "jl.load_representation('mfcc')\n"
        "try: jl.Extractor\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "jukemir_like.Extractor is a transformer of scikit-learn, which is not installed: pip install scikit-learn\n"
