import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.config import Model
from jukemir_like.stemjepa.settings import Training


def test_the_paper_makes_250_patches_and_3840_numbers():
    model = Model()
    assert (model.bands, model.steps, model.dimension, model.chunk_samples) == (5, 50, 3840, 128_000)


def test_a_model_is_read_back_as_it_was_written():
    model = Model.from_dict({"encoder": {"size": "tiny", "chunk_seconds": 4.0}, "predictor": {"num_sources": 6}})
    assert Model.from_dict(model.to_dict()) == model
    assert model.encoder.width == 192
    assert model.predictor.num_sources == 6


def test_options_of_the_original_are_read_back_and_left_out_where_they_are_not_chosen():
    """The values are parameters of representations: of weights from before these options they stay as they were."""
    assert "positions" not in Model().to_dict()["encoder"]
    assert "initialisation" not in Model().to_dict()["predictor"]
    model = Model.from_dict({"encoder": {"positions": "time-first"}, "predictor": {"initialisation": "pytorch"}})
    assert Model.from_dict(model.to_dict()) == model != Model()


def test_a_run_is_read_back_as_it_was_written():
    run = Training.from_dict({"seed": 3, "logger": ["wandb"], "data": {"sources": ["a", "b", "c", "d"], "dataloader": {"batch_size": 8}}})
    assert Training.from_dict(run.to_dict()) == run
    assert run.data.dataloader.batch_size == 8


def test_which_vector_stands_for_a_clip_is_read_back_and_left_out_where_it_is_not_chosen():
    """The values decide names of runs and signatures of vectors: of runs and weights from before this option they stay as they were."""
    chosen = {"vector": {"layer": 3, "pool": "mean+std"}}
    assert "vector" not in Model().to_dict()
    assert "vector" not in Training().to_dict()["model"]
    assert Model.from_dict(Model.from_dict(chosen).to_dict()) == Model.from_dict(chosen) != Model()
    assert Training.from_dict({"model": chosen}).to_dict()["model"]["vector"] == chosen["vector"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": {"sizes": "base"}}, "unknown option encoder.sizes"),
        ({"encoder": {"_target_": "os.system"}}, "unknown option encoder._target_"),
        ({"loss": {}}, "unknown section loss"),
        ({"encoder": {"size": "huge"}}, "choose tiny, small, base"),
        ({"encoder": {"size": "base", "width": 100}}, "another width"),
        ({"encoder": {"size": "custom", "width": 100, "depth": 2, "heads": 3}}, "multiple of 4 and of heads"),
        ({"encoder": {"patch_mels": 7}}, "must divide n_mels"),
        ({"encoder": {"chunk_seconds": 8.1}}, "multiple of a patch"),
        ({"encoder": {"chunk_seconds": "8"}}, "give a value of type float"),
        ({"encoder": {"depth": True}}, "give a value of type int"),
        ({"frontend": {"f_max": 9000.0}}, "give f_min below f_max"),
        ({"frontend": {"n_mels": 0}}, "above 0"),
        ({"frontend": {"n_fft": 10**400}}, "frontend.n_fft is infinite, not a number"),
        ({"frontend": {"mean": float("nan")}}, "frontend.mean is infinite, not a number"),
        ({"frontend": {"std": float("inf")}}, "frontend.std is infinite, not a number"),
        ({"frontend": {"sample_rate": 10**9}}, "at most 1,000,000"),
        ({"frontend": {"n_fft": 10**6}}, "at most 16,777,216"),
        ({"encoder": {"chunk_seconds": 1e9}}, "the limit is 134,217,728"),
        ({"encoder": {"chunk_seconds": 160.0, "patch_frames": 1}}, "patches, the limit is 65,536"),
        ({"encoder": {"chunk_seconds": 0.2, "patch_frames": 1}, "frontend": {"hop_length": 1, "n_fft": 200_000}}, "bins of a spectrogram"),
        ({"vector": {"layer": 13}}, "choose from 0 to 12"),
        ({"vector": {"layer": -1}}, "choose from 0 to 12"),
        ({"vector": {"pool": "median"}}, "choose one of mean, "),
        ({"encoder": {"mlp_ratio": 1e-9}}, "leave at least one hidden channel"),
        ({"encoder": {"a\nb" * 1000: 1}}, "unknown option"),
        ({5: {}, "x": {}}, "unknown section 5, x"),
        ({"predictor": {"conditioning": "concat-" + "9" * 5000}}, "choose concat"),
        ({"predictor": {"kind": "rnn"}}, "mlp or transformer"),
        ({"predictor": {"conditioning": "concat-0"}}, "choose concat"),
        ({"predictor": {"conditioning": "concat-9"}}, "has 6 layers"),
        ({"predictor": {"num_sources": 1}}, "two stems"),
        ({"encoder": {"positions": "learnt"}}, "positions 'learnt': choose frequency-first or time-first"),
        ({"predictor": {"initialisation": "zero"}}, "initialisation 'zero': choose xavier or pytorch"),
        ({"predictor": {"kind": "transformer", "width": 100}}, "multiple of 4 and of heads"),
    ],
)
def test_what_makes_no_model_is_one_clear_line(values, message):
    with pytest.raises(RequestError, match=message) as caught:
        Model.from_dict(values)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": {}}, "unknown option models"),
        ({"trainer": {"accelerator": "tpu"}}, "cpu, gpu or auto"),
        ({"data": {"context": "all"}}, "uniform, max, one, one-plus"),
        ({"data": {"dataloader": {"_target_": "x"}}}, "unknown option data.dataloader._target_"),
        ({"data": {"sources": ["a"]}}, "as many stems"),
        ({"data": {"sources": ["../a", "b", "c", "d"]}}, "cannot be the name of an instrument"),
        ({"optimiser": {"lr": float("nan")}}, "optimiser.lr is infinite, not a number"),
        ({"logger": ["mlflow"]}, "unknown logger mlflow"),
    ],
)
def test_what_makes_no_run_is_one_clear_line(values, message):
    with pytest.raises(RequestError, match=message):
        Training.from_dict(values)
