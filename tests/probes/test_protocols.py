"""The grid of the paper, and what makes two requests the same."""

import itertools

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.probes.protocols import Grid, Point, RegularisationPath, configuration_hash, group_points, non_default


def test_the_default_grid_is_the_published_one():
    published = itertools.product(
        (False, True), (0, 512), (64, 256), (1e-5, 1e-4, 1e-3), (0.25, 0.5, 0.75), (0.0, 1e-4, 1e-3)
    )  # Castellon et al. 2021: 216 probes a representation and dataset
    points = Grid().points()
    assert len(points) == 216
    assert set(points) == {Point(*values) for values in published}
    assert (Grid().evaluate_every, Grid().patience) == (8, 256)


def test_groups_share_all_but_learning_rate_and_weight_decay():
    found = group_points(Grid().points())
    assert [len(group) for group in found] == [9] * 24
    assert sorted(itertools.chain(*found)) == Grid().points()
    for group in found:
        assert len({(point.standardise, point.hidden, point.batch_size, point.dropout) for point in group}) == 1


def test_points_do_not_depend_on_how_the_grid_was_written():
    assert Grid(hidden=(512, 0, 512)).points() == Grid().points()


def test_only_what_differs_from_the_defaults_is_the_configuration():
    assert non_default(Grid()) == {} == non_default(RegularisationPath())
    assert non_default(Grid(hidden=(0,), patience=9)) == {"hidden": [0], "patience": 9}
    assert len({configuration_hash("linear", {}), configuration_hash("jukemir", {}), configuration_hash("jukemir", {"patience": 9})}) == 3


@pytest.mark.parametrize("wrong", [{"dropout": (1.0,)}, {"batch_size": (0,)}, {"hidden": ()}, {"patience": 0}, {"weight_decay": (-1.0,)}])
def test_a_grid_that_cannot_be_trained_is_refused(wrong):
    with pytest.raises(RequestError, match="the grid"):
        Grid(**wrong)


def test_a_path_needs_strengths_above_zero():
    for wrong in ((), (0.0,)):
        with pytest.raises(RequestError, match="strength"):
            RegularisationPath(strengths=wrong)
