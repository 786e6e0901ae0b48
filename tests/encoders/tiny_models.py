"""A tiny model with random weights for every card of a model of ``transformers``, saved as its repository on the hub has it."""

import json
from dataclasses import replace

import numpy as np
import torch
import transformers

from jukemir_like.encoders import card as cards

SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
NORMALISED = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "sampling_rate": 16000}
WAVEFORMS = ("mert-95m", "mert-330m", "music2vec", "wav2vec2-base", "hubert-base", "data2vec-audio-base", "wavlm-base")
CONFORMERS = ("muq", "musicfm")
LIBRARY = (*WAVEFORMS, "ast", "whisper-base", "clap-music", "encodec", "dac")
ALL = (*LIBRARY, *CONFORMERS)
CHUNK_SECONDS = {"ast": 1.28, "clap-music": 10.0}


def model(name):
    """The model as ``transformers`` has it, with the weights that :func:`save` writes."""
    t = transformers
    torch.manual_seed(0)
    if name in ("mert-95m", "hubert-base"):
        made = t.HubertModel(t.HubertConfig(**SPEECH))
    elif name == "mert-330m":
        made = t.HubertModel(t.HubertConfig(**SPEECH, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True))
    elif name in ("music2vec", "data2vec-audio-base"):
        made = t.Data2VecAudioModel(t.Data2VecAudioConfig(**SPEECH))
    elif name == "wav2vec2-base":
        made = t.Wav2Vec2ForPreTraining(t.Wav2Vec2Config(**SPEECH, codevector_dim=8, proj_codevector_dim=8, num_codevectors_per_group=4))
    elif name == "wavlm-base":
        made = t.WavLMModel(t.WavLMConfig(**SPEECH))
    elif name == "ast":
        blocks = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_length": 128}
        made = t.ASTForAudioClassification(t.ASTConfig(**blocks, num_labels=3))
    elif name == "whisper-base":
        tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
        sizes = {"layers": 2, "ffn_dim": 16, "attention_heads": 2}
        sides = {f"{side}_{what}": value for side in ("encoder", "decoder") for what, value in sizes.items()}
        made = t.WhisperForConditionalGeneration(t.WhisperConfig(**sides, d_model=16, vocab_size=30, max_source_positions=50, **tokens))
    elif name == "clap-music":
        audio = {"patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
        text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 20}
        made = t.ClapModel(t.ClapConfig(audio_config=audio, text_config=text, projection_dim=12))
    elif name == "encodec":
        made = t.EncodecModel(t.EncodecConfig(num_filters=2, hidden_size=8, codebook_dim=8, codebook_size=16))
    else:
        made = t.DacModel(t.DacConfig(encoder_hidden_size=4, n_codebooks=2, codebook_size=16, codebook_dim=4, sampling_rate=44100))
    return randomised(made.eval())


def randomised(net):
    """``net`` with weights that differ from all that an initialisation would give: a tensor that was not loaded is noticed."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return net


def preprocessor(name):
    """``preprocessor_config.json``; None: the repository has none."""
    if name in WAVEFORMS:
        return NORMALISED | {"sampling_rate": 24000 if name.startswith("mert") else 16000}
    return {
        "ast": {"feature_extractor_type": "ASTFeatureExtractor", "max_length": 128, "sampling_rate": 16000},
        "whisper-base": {"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 1, "sampling_rate": 16000},
        "clap-music": {
            "feature_extractor_type": "ClapFeatureExtractor",
            "truncation": "rand_trunc",
            "padding": "repeatpad",
            "frequency_min": 50,
            "frequency_max": 14000,
            "sampling_rate": 48000,
        },
        "encodec": {"feature_extractor_type": "EncodecFeatureExtractor", "sampling_rate": 24000},
        "dac": {"feature_extractor_type": "DacFeatureExtractor", "sampling_rate": 44100, "hop_length": 512},
    }.get(name)


def write(net, folder):
    """Writes a net of ``transformers`` without its progress bar, which would leave tqdm's monitor, a thread, in the tests' process."""
    transformers.utils.logging.disable_progress_bar()
    net.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()


def save(name, folder):
    """Writes the repository of a card; returns the model."""
    made = model(name)
    write(made, folder)
    if preprocessor(name) is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(name)))
    if name.startswith("mert"):  # code of its own, and a file of torch with the older names
        config = json.loads((folder / "config.json").read_text())
        code = {"AutoConfig": "configuration_MERT.MERTConfig", "AutoModel": "modeling_MERT.MERTModel"}
        config |= {"model_type": "mert_model", "auto_map": code, "feature_extractor_cqt": False, "deepnorm": False}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").unlink()
        torch.save(older_names(made.state_dict()), folder / "pytorch_model.bin")
    return made


def older_names(tensors):
    """Weight normalisation as torch called it before version 2."""
    new_and_old = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))
    for new, old in new_and_old:
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    return tensors


def oracle_tensors(shapes):
    """The weights of the oracle ``fixtures/muq_tiny.npz``, by the names that MuQ publishes."""
    rng = np.random.default_rng(1)
    tensors = {}
    for name in sorted(shapes):
        values = rng.standard_normal(shapes[name]).astype(np.float32)
        if name.endswith("running_var"):
            values = 1 + 0.5 * np.tanh(values)
        elif len(shapes[name]) > 1:
            values = values * np.float32((2 / np.prod(shapes[name][1:])) ** 0.5)
        else:
            values = np.float32(0.1) * values + np.float32(name.endswith(("weight", "original0")))
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    return tensors


def save_conformer(name, folder, oracle):
    """Writes the repository of MuQ, or of MusicFM, whose description is in the card."""
    folder.mkdir(parents=True)
    config = json.loads(str(oracle["config"]))
    tensors = oracle_tensors(json.loads(str(oracle["shapes"])))
    tensors |= {"model.linear.weight": torch.zeros(4, 16), "model.cls_token": torch.zeros(16), "model.quantizer_x.codebook": torch.zeros(2)}
    if name == "muq":
        (folder / "config.json").write_text(json.dumps(config))
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        (folder / "msd_stats.json").write_text(json.dumps(config["stat"]))
        torch.save({"state_dict": older_names(tensors), "epoch": 3}, folder / "pretrained_msd.pt")
    return config


def card(name, config=None):
    """The card called ``name``, with the sizes of its tiny model and short chunks."""
    described = cards.read(name)
    settings = described.settings | {"chunk_seconds": CHUNK_SECONDS.get(name, 1.0)}
    width = {"clap-music": 12, "encodec": 8, "dac": 64}.get(name, 16)
    layers = {0: 0, 12: 2, 24: 2, 6: 2}[described.layers]
    if name in CONFORMERS:
        layers = 3
    if name == "musicfm":
        settings["config"] = {key: config[key] for key in ("encoder_dim", "encoder_depth", "conv_dim", "w2v2_config")}
    return replace(described, width=width, layers=layers, layer=str(layers), settings=settings)
