import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from jukemir_like.core import resampling
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import Task
from jukemir_like.probes import intervals, metrics
from jukemir_like.probes.runs import FORMAT, run_folder, save_run
from jukemir_like.probes.tasks import SCORED_SPLITS, Predictions

GENRE = Task("genre", "multiclass", ("blues", "disco", "metal"))
TAGS = Task("tags", "multilabel", tuple(f"tag {index}" for index in range(8)))
EMOTION = Task("emotion", "regression", ("arousal", "valence"))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


def save(cache, task, y, scores, *, group=None, representation="chroma", seed=0, dataset="songs", uid=None, protocol="linear"):
    """A run in the documented format, with the same predictions in both splits."""
    uid = np.array([f"song {index:04d}" for index in range(len(y))]) if uid is None else uid
    group = uid if group is None else np.asarray(group)
    predictions = Predictions(uid, group, y, scores.astype(np.float32))
    both = dict.fromkeys(SCORED_SPLITS, predictions)
    values = metrics.evaluate(task, y, predictions.scores)
    record = {
        "format": FORMAT,
        "dataset": dataset,
        "representation": representation,
        "protocol": protocol,
        "seed": seed,
        "task": {"name": task.name, **task.to_json()},
        "configuration": {},
        "configuration_hash": "0",
        "selected": {},
        "metrics": dict.fromkeys(both, values),
        "scored": dict.fromkeys(both, len(y)),
        "groups": dict.fromkeys(both, len(set(group))),
        "n": {},
        "left_out": {},
        "notes": [],
        "seconds": 1.0,
        "versions": {},
        "lineage": {},
        "aggregation": None,
    }
    return save_run(run_folder(cache, dataset, representation, task.name, "linear", seed), record, both)


def bounds(run, **options):
    return intervals.resample_runs([run], **options).bounds


def classified(correct, random):
    """Labels and scores of a three-class task where item i is right if ``correct[i]``."""
    y = random.integers(3, size=len(correct))
    return y, np.eye(3)[np.where(correct, y, (y + 1) % 3)]


def tagged(n, random, quality=1.0):
    y = random.random((n, 8)) < np.linspace(0.5, 0.1, 8)
    return y, quality * y + random.standard_normal(y.shape)


# The interval


def test_interval_of_accuracy_is_that_of_scipy_and_of_the_normal_approximation(cache):
    random = np.random.default_rng(1)
    correct = random.random(400) < 0.6
    run = save(cache, GENRE, *classified(correct, random))
    low, high = bounds(run, resamples=20_000)["accuracy"]
    reference = scipy.stats.bootstrap((correct.astype(float),), np.mean, n_resamples=20_000, method="BCa", rng=2, batch=1000)
    assert (low, high) == pytest.approx(tuple(reference.confidence_interval), abs=0.004)
    p, error = correct.mean(), np.sqrt(correct.mean() * (1 - correct.mean()) / 400)
    assert (low, high) == pytest.approx((p - 1.96 * error, p + 1.96 * error), abs=0.005)


def test_interval_of_whole_groups_is_that_of_their_means(cache):
    """Songs of an artist are right or wrong together: 200 songs are worth 20 artists, not 200."""
    random = np.random.default_rng(2)
    by_artist = random.random(20) < 0.5
    y, scores = classified(np.repeat(by_artist, 10), random)
    group = np.repeat([f"artist {index}" for index in range(20)], 10)
    low, high = bounds(save(cache, GENRE, y, scores, group=group))["accuracy"]
    alone = bounds(save(cache, GENRE, y, scores, representation="ungrouped"))["accuracy"]
    error = np.sqrt(by_artist.mean() * (1 - by_artist.mean()) / 20)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * error / np.sqrt(10), rel=0.1)


@pytest.mark.parametrize("task", [TAGS, EMOTION], ids=lambda task: task.name)
def test_resamples_are_those_of_repeated_rows_scored_by_scikit_learn(cache, task):
    random = np.random.default_rng(4)
    n = 60
    y, scores = tagged(n, random) if task is TAGS else (random.standard_normal((n, 2)), random.standard_normal((n, 2)))
    scores = scores.astype(np.float32)
    group = np.array([f"artist {index % 15:02d}" for index in range(n)])
    found = intervals.resample_runs([save(cache, task, y, scores, group=group)], resamples=50)
    draws = np.random.default_rng([0, _crc("songs")]).integers(15, size=(50, 15))
    for index, drawn in enumerate(draws):
        rows = np.concatenate([np.flatnonzero(group == f"artist {artist:02d}") for artist in drawn])
        if task is TAGS:
            known = y[rows].any(0) & ~y[rows].all(0)
            expected = {
                "roc_auc": np.mean([roc_auc_score(y[rows, tag], scores[rows, tag]) for tag in np.flatnonzero(known)]),
                "average_precision": np.mean(
                    [average_precision_score(y[rows, tag], scores[rows, tag]) for tag in np.flatnonzero(y[rows].any(0))]
                ),
            }
        else:
            expected = {"r2": r2_score(y[rows], scores[rows])}
        for metric, value in expected.items():
            assert found.samples[metric][index] == pytest.approx(value, rel=1e-6)


def _crc(name):
    """CRC-32 bit by bit, as in ISO 3309: the dataset's part of the seed."""
    value = 0xFFFFFFFF
    for byte in name.encode():
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_undefined_resamples_are_left_out_and_counted(cache):
    """One song with the only positive: a resample lacks it with probability (1 - 1/n)^n."""
    random = np.random.default_rng(5)
    one_tag = Task("tags", "multilabel", ("rare",))
    y = np.zeros((30, 1), bool)
    y[0] = True
    found = intervals.resample_runs([save(cache, one_tag, y, random.standard_normal((30, 1)))]).intervals["roc_auc"]
    assert found.undefined == pytest.approx(resampling.RESAMPLES * (1 - 1 / 30) ** 30, rel=0.1)
    assert found.low is not None


def test_no_interval_where_most_resamples_are_undefined_or_one_group_is_all_there_is():
    samples = np.array([np.nan] * 6 + [0.1] * 4)
    assert resampling.interval(0.1, samples, 5) == resampling.Interval(0.1, None, None, 6)
    assert resampling.difference(0.1, samples, 5).p is None
    assert resampling.interval(0.1, np.full(10, 0.1), 1).low is None
    assert not resampling.interval(0.1, np.full(10, 0.1), 1).excludes_zero


def test_a_perfect_ranking_of_few_positives_is_as_unsure_as_they_are_few():
    """13 of 13 pairs of songs in order: with three positives it is worth three songs, however many negatives there are."""
    one_tag = Task("tags", "multilabel", ("rare",))
    widths = []
    for positives in (3, 6):
        y = (np.arange(13) < positives)[:, None]
        names = np.arange(13).astype(str)
        found = intervals.resample_predictions(one_tag, "", [Predictions(names, names, y, y.astype(np.float32))])
        assert found.units("roc_auc") == positives
        assert found.units("accuracy") is None
        interval = found.intervals["roc_auc"]
        assert (interval.value, interval.high) == (1, 1)
        widths.append(interval.high - interval.low)
    assert widths[0] > widths[1] > 1 - scipy.stats.beta.ppf(0.025, 6.5, 0.5)


def test_an_r2_without_variation_has_no_interval():
    y = np.arange(20.0)[:, None]
    names = np.arange(20).astype(str)
    task = Task("emotion", "regression", ("arousal",))
    perfect = intervals.resample_predictions(task, "", [Predictions(names, names, y, y.astype(np.float32))])
    assert (perfect.intervals["r2"].value, perfect.intervals["r2"].low) == (1, None)
    same = intervals.compare(perfect, perfect).differences["r2"]
    assert (same.interval.value, same.interval.low, same.p) == (0, None, 1)


def test_few_groups_are_said():
    y = np.arange(40) % 3
    names = np.char.zfill(np.arange(40).astype(str), 2)
    for groups, said in ((9, "only 9 groups: with fewer than 10, read intervals as rough"), (10, None)):
        group = (np.arange(40) % groups).astype(str)
        assert intervals.resample_predictions(GENRE, "", [Predictions(names, group, y, np.eye(3)[y])]).few_groups == said
    dominated = np.where(np.arange(40) < 25, "0", names)
    found = intervals.resample_predictions(GENRE, "", [Predictions(names, dominated, y, np.eye(3)[y])])
    assert found.few_groups == "only 16 groups of very different sizes, as good as 2.5: with fewer than 10, read intervals as rough"


def test_the_same_runs_give_the_same_intervals_to_the_bit(cache):
    random = np.random.default_rng(6)
    run = save(cache, TAGS, *tagged(80, random))
    assert bounds(run) == bounds(run)
    assert bounds(run) != bounds(run, seed=1)


# Comparisons


def test_difference_of_identical_predictions_is_zero_give_or_take_what_so_few_items_cannot_exclude(cache):
    random = np.random.default_rng(7)
    y, scores = tagged(80, random)
    first, second = (intervals.resample_runs([save(cache, TAGS, y, scores, representation=name)]) for name in ("chroma", "mfcc"))
    comparison = intervals.compare(first, second)
    assert comparison.n == 80
    for difference in comparison.differences.values():
        assert (difference.interval.value, difference.p) == (0.0, 1.0)
        assert 0 < difference.interval.high == -difference.interval.low < 0.05


def test_paired_interval_is_that_of_the_differences_item_by_item(cache):
    """Two representations that fail on nearly the same songs: the difference is far surer than either accuracy."""
    random = np.random.default_rng(8)
    hard = random.random(300)
    y = random.integers(3, size=300)
    resampled, rights = [], []
    for name, limit in (("chroma", 0.6), ("mfcc", 0.5)):
        right = hard < limit
        scores = np.eye(3)[np.where(right, y, (y + 1) % 3)]
        resampled.append(intervals.resample_runs([save(cache, GENRE, y, scores, representation=name)], resamples=10_000))
        rights.append(right.astype(float))
    difference = intervals.compare(*resampled).differences["accuracy"]
    reference = scipy.stats.bootstrap((rights[0] - rights[1],), np.mean, n_resamples=10_000, method="BCa", rng=1, batch=1000)
    assert (difference.interval.low, difference.interval.high) == pytest.approx(tuple(reference.confidence_interval), abs=0.006)
    wide = resampled[0].intervals["accuracy"]
    assert difference.interval.high - difference.interval.low < 0.7 * (wide.high - wide.low)
    assert difference.interval.excludes_zero
    assert difference.p < 0.001


def test_direction_of_a_comparison_only_changes_its_sign(cache):
    random = np.random.default_rng(10)
    y = random.integers(3, size=100)
    one, other = (
        intervals.resample_runs([save(cache, GENRE, y, np.eye(3)[y] * q + random.standard_normal((100, 3)), representation=name)])
        for name, q in (("chroma", 2.0), ("mfcc", 1.0))
    )
    there, back = intervals.compare(one, other).differences["accuracy"], intervals.compare(other, one).differences["accuracy"]
    assert (there.interval.value, there.interval.low, there.interval.high) == pytest.approx(
        (-back.interval.value, -back.interval.high, -back.interval.low)
    )
    assert there.p == pytest.approx(back.p)


def test_only_common_items_are_compared(cache):
    random = np.random.default_rng(11)
    y = random.integers(3, size=90)
    uid = np.array([f"song {index:04d}" for index in range(90)])
    scores = np.eye(3)[y] + random.standard_normal((90, 3))
    whole = intervals.resample_runs([save(cache, GENRE, y, scores)])
    part = intervals.resample_runs([save(cache, GENRE, y[30:], scores[30:], uid=uid[30:], representation="mfcc")])
    comparison = intervals.compare(whole, part)
    assert (comparison.n, comparison.groups, comparison.only_first, comparison.only_second) == (60, 60, 30, 0)
    assert comparison.differences["accuracy"].interval.value == 0
    alone = resampling.difference(0.0, np.zeros(resampling.RESAMPLES), 60)
    assert comparison.differences["accuracy"] == alone


def test_order_of_items_in_the_files_does_not_matter(cache):
    random = np.random.default_rng(12)
    y, scores = tagged(60, random)
    uid = np.array([f"song {index:04d}" for index in range(60)])
    order = random.permutation(60)
    straight = bounds(save(cache, TAGS, y, scores))
    shuffled = bounds(save(cache, TAGS, y[order], scores[order], uid=uid[order], representation="mfcc"))
    assert straight == shuffled


def test_other_labels_or_other_items_cannot_be_compared(cache):
    random = np.random.default_rng(13)
    y = random.integers(3, size=40)
    first = intervals.resample_runs([save(cache, GENRE, y, np.eye(3)[y])])
    second = intervals.resample_runs([save(cache, GENRE, (y + 1) % 3, np.eye(3)[y], representation="mfcc")])
    with pytest.raises(RequestError, match="different labels"):
        intervals.compare(first, second)
    elsewhere = np.array([f"other {index}" for index in range(40)])
    third = intervals.resample_runs([save(cache, GENRE, y, np.eye(3)[y], uid=elsewhere, representation="mfcc")])
    with pytest.raises(RequestError, match="no scored item in common"):
        intervals.compare(first, third)


# Seeds


def test_value_of_several_seeds_is_their_mean_and_the_interval_covers_their_spread(cache):
    """Right on all songs or on none, by the seed: items alone would give an interval of no width."""
    y = np.arange(60) % 3
    runs = [
        save(cache, GENRE, y, np.eye(3)[y if right else (y + 1) % 3], seed=seed, protocol="jukemir")
        for seed, right in enumerate((True, False, True, True))
    ]
    found = intervals.resample_runs(runs)
    assert found.by_seed["accuracy"].tolist() == [1, 0, 1, 1]
    interval = found.intervals["accuracy"]
    assert interval.value == 0.75
    assert found.spread("accuracy") == pytest.approx(0.5)
    # The mean of four draws from {1, 0, 1, 1}: binomial.
    shares = np.bincount((4 * found.samples["accuracy"]).round().astype(int), minlength=5) / resampling.RESAMPLES
    assert shares == pytest.approx(scipy.stats.binom.pmf(range(5), 4, 0.75), abs=0.03)
    assert interval.low < 0.31  # of so many as four items, three of them right
    assert interval.high > 0.95


def test_a_seed_that_changes_nothing_changes_no_interval(cache):
    random = np.random.default_rng(14)
    y, scores = tagged(60, random)
    runs = [save(cache, TAGS, y, scores, seed=seed) for seed in range(3)]
    several, one = intervals.resample_runs(runs), intervals.resample_runs(runs[:1])
    for metric, interval in one.intervals.items():
        other = several.intervals[metric]
        assert (other.value, other.low, other.high) == pytest.approx((interval.value, interval.low, interval.high))
    assert one.spread("roc_auc") is None


def test_seeds_that_scored_different_items_are_not_averaged(cache):
    y = np.arange(60) % 3
    runs = [save(cache, GENRE, y, np.eye(3)[y]), save(cache, GENRE, y[:50], np.eye(3)[y[:50]], seed=1)]
    with pytest.raises(RequestError, match="different items"):
        intervals.resample_runs(runs)


# Coverage


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "least"), [("accuracy", 0.91), ("macro_f1", 0.88), ("average_precision", 0.88), ("roc_auc", 0.91), ("r2", 0.90)]
)
def test_intervals_hold_the_true_value(metric, least):
    """200 test sets of 30 artists with 5 alike songs each; the true value is that of 30,000 artists. (0.91 is 0.95 less three errors.)"""
    random = np.random.default_rng(16)
    task = {"accuracy": GENRE, "macro_f1": GENRE, "r2": EMOTION}.get(metric, TAGS)

    def sample(artists):
        group = np.repeat(np.arange(artists), 5)
        manner = 0.5 * random.standard_normal((artists, len(task.labels)))[group]
        noise = random.standard_normal((len(group), len(task.labels)))
        if task is GENRE:
            y = random.integers(3, size=artists)[group]
            return y, np.eye(3)[y] + manner + noise, group.astype(str)
        if task is TAGS:
            y = random.random((len(group), 8)) < np.linspace(0.5, 0.1, 8)
            return y, 1.2 * y + manner + noise, group.astype(str)
        y = 0.7 * random.standard_normal((artists, 2))[group] + 0.7 * noise
        return y, 0.6 * y + manner + 0.3 * random.standard_normal(y.shape), group.astype(str)

    truth = metrics.evaluate(task, *sample(30_000)[:2])[metric]
    held = 0
    for trial in range(200):
        y, scores, group = sample(30)
        uid = np.char.zfill(np.arange(len(y)).astype(str), 4)
        predictions = Predictions(uid, group, y, scores)
        found = intervals.resample_predictions(task, f"{trial}", [predictions], resamples=1000).intervals[metric]
        held += found.low <= truth <= found.high
    assert held / 200 >= least
