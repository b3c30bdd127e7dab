"""Writes the golden files of models that write texts: tiny checkpoints, and what PyTorch gives.

The tests read these files and so run without torch. To write them again, run
this where torch is installed:

    python tests/golden/make_sequences.py      # everything
    python tests/golden/make_sequences.py t5   # what is named

Each folder gets `config.json`, `generation_config.json`, `model.safetensors` and
`expected.safetensors`, which holds (B = 3, L = 24, T = 9, V the vocabulary):

    input_ids, attention_mask     int32   [B, L], rows of different length, padded on the right
    decoder_input_ids             int32   [B, T], where there is an encoder
    logits                        float32 [B, L, V], or [B, T, V] where there is an encoder
    last_hidden_state             float32 [B, L or T, W], of the bare model

The same names with the prefix `unpadded.` for rows of 7 tokens without a mask; and what
`generate` writes for the padded rows under the options of `GENERATIONS`:

    generated.<name>              int32 [texts, length], with the start or the prompt

Of a model that hears there are `input_features`, float32 [B, F, bands], in place of `input_ids` and
`attention_mask`; its folder also has a tokenizer of bytes and `preprocessor_config.json`, and

    spoken.<name>                 int32 [B, length], what its own `generate` writes under the
                                  options of `SPOKEN`, without what texts start with
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSpeechSeq2Seq,
    GenerationConfig,
    GenerationMixin,
    PreTrainedModel,
    WhisperFeatureExtractor,
    WhisperTokenizer,
)

HERE = Path(__file__).parent
LENGTHS = (24, 13, 4)
TARGET, UNPADDED, LONGEST_OUTPUT = 9, 7, 12
FIRST_ID = 5  # those below are special

T5 = {
    "model_type": "t5",
    "vocab_size": 97,
    "d_model": 32,
    "d_kv": 6,  # not the width over the heads
    "d_ff": 48,
    "num_layers": 3,  # more than the decoder has: transformers makes a cache of so many
    "num_decoder_layers": 2,
    "num_heads": 4,
    # So few that all are used.
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "decoder_start_token_id": 0,
}
BART = {
    "model_type": "bart",
    "vocab_size": 97,
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 40,
}
MARIAN = {
    **BART,
    "model_type": "marian",
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": 96,
    "decoder_start_token_id": 96,
    "eos_token_id": 0,
    "forced_eos_token_id": 0,
}
MBART = {**BART, "model_type": "mbart", "scale_embedding": True, "decoder_start_token_id": 7}
M2M100 = {**BART, "model_type": "m2m_100", "pad_token_id": 1, "forced_bos_token_id": 9}
PEGASUS = {
    **BART,
    "model_type": "pegasus",
    "activation_function": "relu",
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "forced_eos_token_id": 1,
}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 97,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 60,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 60,
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "pad_token_id": 0,
}

GPT_NEOX = {
    "model_type": "gpt_neox",
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 60,
    "rotary_pct": 0.5,
    "rotary_emb_base": 100,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OPT = {
    "model_type": "opt",
    "vocab_size": 97,
    "hidden_size": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 60,
}

# What Whisper writes beside the 256 bytes, for sounds of a second.
LANGUAGES, WHISPER_TASKS = ("en", "de", "fr"), ("translate", "transcribe")
SPECIALS = [
    *("endoftext", "startoftranscript", *LANGUAGES, *WHISPER_TASKS),
    *("startoflm", "startofprev", "nospeech", "notimestamps"),
    *(f"{number * 0.02:.2f}" for number in range(51)),
]
NUMBERS = {name: 256 + place for place, name in enumerate(SPECIALS)}
WHISPER = {
    "model_type": "whisper",
    "vocab_size": 256 + len(SPECIALS),
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "num_mel_bins": 10,
    "max_source_positions": 50,
    "max_target_positions": 40,
    "decoder_start_token_id": NUMBERS["startoftranscript"],
    **{f"{use}_token_id": NUMBERS["endoftext"] for use in ("bos", "eos", "pad")},
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
# Of its generation_config.json.
WHISPER_WRITES = {
    "is_multilingual": True,
    "lang_to_id": {f"<|{name}|>": NUMBERS[name] for name in LANGUAGES},
    "task_to_id": {name: NUMBERS[name] for name in WHISPER_TASKS},
    "no_timestamps_token_id": NUMBERS["notimestamps"],
    "prev_sot_token_id": NUMBERS["startofprev"],
    "max_initial_timestamp_index": 10,
    "max_length": 40,
    **{k: WHISPER[k] for k in WHISPER if k.endswith("_token_id")},
    "begin_suppress_tokens": [32, NUMBERS["endoftext"]],
    # Times, too, or its own `generate` would begin anew at each.
    "suppress_tokens": [40, 41, 42, 257, 263, 264, *range(267, WHISPER["vocab_size"])],
}
SPOKEN: dict[str, dict[str, Any]] = {
    "detected": {"task": "transcribe"},
    "german": {"language": "de"},
    "translated": {"language": "french", "task": "translate"},
    "beams": {"language": "<|en|>", "num_beams": 3, "length_penalty": 0.7},
    # Of a checkpoint of English alone.
    "english": {},
}

# Folder -> fields of its config.
MODELS: dict[str, dict[str, Any]] = {
    "t5": T5,
    # Version 1.1: gated, outputs not scaled, and a last layer of its own.
    "t5-gated": {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "mt5": {**T5, "model_type": "mt5", "feed_forward_proj": "gated-gelu"},
    "marian": MARIAN,
    "marian-apart": {
        **MARIAN,
        "share_encoder_decoder_embeddings": False,
        "decoder_vocab_size": 89,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "forced_eos_token_id": 1,
        "scale_embedding": False,
    },
    "bart": BART,
    "bart-scaled": {**BART, "scale_embedding": True, "activation_function": "relu"},
    "mbart": MBART,
    "m2m_100": M2M100,
    "pegasus": PEGASUS,
    "gpt2": GPT2,
    "llama": {**LLAMA, "tie_word_embeddings": True},
    # With biases, heads of a width of their own, an output layer of its own, and rescaled angles.
    "llama-biased": {
        **LLAMA,
        "attention_bias": True,
        "mlp_bias": True,
        "head_dim": 6,
        "num_key_value_heads": 1,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "qwen2": {
        **LLAMA,
        "model_type": "qwen2",
        "tie_word_embeddings": True,
        "use_sliding_window": True,
        "sliding_window": 5,
        "max_window_layers": 1,
    },
    "mistral": {**LLAMA, "model_type": "mistral", "sliding_window": 5},
    "qwen3": {
        **LLAMA,
        "model_type": "qwen3",
        "head_dim": 6,
        "attention_bias": True,
        "use_sliding_window": True,
        "sliding_window": 5,
        "max_window_layers": 1,
    },
    "gpt_neox": GPT_NEOX,
    # One sub-layer after the other, fewer biases, slower angles, and the table of words last.
    "gpt_neox-serial": {
        **GPT_NEOX,
        "use_parallel_residual": False,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    },
    "opt": {**OPT, "tie_word_embeddings": False},
    "opt-post": {
        **OPT,
        "do_layer_norm_before": False,
        "enable_bias": False,
        "activation_function": "gelu",
    },
    "gemma3_text": {
        **LLAMA,
        "model_type": "gemma3_text",
        "head_dim": 6,
        "query_pre_attn_scalar": 10,
        "sliding_window": 5,
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
        },
    },
    "umt5": {**T5, "model_type": "umt5", "tie_word_embeddings": False},
    "whisper": WHISPER,
}
# Whose last layer gets weights of its own, though transformers ties it by default.
APART = ("t5-gated", "mt5", "umt5")
# Whose norms scale by one more than their weights.
AROUND_ONE = ("gemma3_text",)

GENERATIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3, "length_penalty": 0.7, "num_return_sequences": 2},
    "beams-early": {"num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 2},
}


def head_of(name: str) -> Any:
    if hears(name):
        return AutoModelForSpeechSeq2Seq
    pair = AutoConfig.for_model(MODELS[name]["model_type"]).is_encoder_decoder
    return AutoModelForSeq2SeqLM if pair else AutoModelForCausalLM


def hears(name: str) -> bool:
    return "num_mel_bins" in MODELS[name]


def random_model(name: str) -> PreTrainedModel:
    """Makes a model whose every parameter matters to the result."""
    torch.manual_seed(0)
    fields = dict(MODELS[name])
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = head_of(name).from_config(config, attn_implementation="eager")
    if name in APART:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        trained = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
        for key, parameter in trained:
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3 if hears(name) else 0.15)
            elif key.endswith("bias"):
                parameter.normal_(0.0, 0.3)
            else:
                parameter.normal_(0.0 if name in AROUND_ONE else 1.0, 0.2)  # norm weights
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_(0.0, 0.3)
    return model.eval()


def random_batch(model: PreTrainedModel, lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    config, longest = model.config, max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).to(torch.int32)
    ids = torch.randint(FIRST_ID, 89, mask.shape, dtype=torch.int32)
    pad = config.pad_token_id if config.pad_token_id is not None else 0
    batch = {"input_ids": torch.where(mask == 1, ids, pad), "attention_mask": mask}
    spoken = {}
    if hasattr(config, "num_mel_bins"):
        frames = (len(lengths), 2 * config.max_source_positions, config.num_mel_bins)
        batch, spoken = {}, {"input_features": torch.randn(frames)}
    if config.is_encoder_decoder:
        target = torch.randint(FIRST_ID, 89, (len(lengths), TARGET), dtype=torch.int32)
        target[:, 0] = config.decoder_start_token_id
        batch["decoder_input_ids"] = target
    return {**{name: value.to(torch.int32) for name, value in batch.items()}, **spoken}


def for_pytorch(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a batch as PyTorch takes it: numbers of 64 bits, and bands before time."""
    return {
        name: value.transpose(1, 2) if value.is_floating_point() else value.long()
        for name, value in batch.items()
    }


@torch.no_grad()
def answers(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    long = for_pytorch(batch)
    outputs = model(**long, output_hidden_states=True)
    hidden = outputs.get("decoder_hidden_states") or outputs.hidden_states
    return {"logits": outputs.logits, "last_hidden_state": hidden[-1]}


@torch.no_grad()
def generated(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns what is written; a decoder alone gets each prompt by itself, without padding."""
    inputs = for_pytorch({k: v for k, v in batch.items() if k != "decoder_input_ids"})
    found = {}
    for name, options in GENERATIONS.items():
        options = {"do_sample": False, "max_new_tokens": LONGEST_OUTPUT, **options}
        if model.config.is_encoder_decoder:
            # Whisper's own begins with more than the start.
            found[f"generated.{name}"] = GenerationMixin.generate(model, **inputs, **options)
            continue
        for row, mask in enumerate(inputs["attention_mask"]):
            ids = inputs["input_ids"][row : row + 1, : int(mask.sum())]
            written = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
            found[f"generated.{name}.{row}"] = written
    return {name: value.to(torch.int32) for name, value in found.items()}


@torch.no_grad()
def spoken(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns what a model that hears writes, in languages and without."""
    features, found = for_pytorch(batch)["input_features"], {}
    for name, options in SPOKEN.items():
        multilingual = ("lang_to_id", "task_to_id") if name == "english" else ()
        writes = {k: v for k, v in WHISPER_WRITES.items() if k not in multilingual}
        writes["is_multilingual"] = name != "english"
        model.generation_config = GenerationConfig(**writes)
        options = {"max_new_tokens": LONGEST_OUTPUT, "no_repeat_ngram_size": 2, **options}
        found[f"spoken.{name}"] = model.generate(features, **options)
    model.generation_config = GenerationConfig(**WHISPER_WRITES)
    return {name: value.to(torch.int32) for name, value in found.items()}


def settled(
    model: PreTrainedModel,
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Returns a random batch and what is written for it, which rounding does not decide.

    Of two beams that are all but equal each processor takes its own.
    """
    while True:
        batch = random_batch(model, LENGTHS)
        texts = written(model, batch)
        others = [written(shaken(model, seed), batch) for seed in range(3)]
        if all(torch.equal(text, other[name]) for other in others for name, text in texts.items()):
            return batch, texts


def written(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    heard = spoken(model, batch) if hasattr(model.config, "num_mel_bins") else {}
    return {**generated(model, batch), **heard}


@torch.no_grad()
def shaken(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Returns a model whose weights differ by as much as sums in another order make of them."""
    generator, other = torch.Generator().manual_seed(seed), copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.mul_(1 + 3e-6 * torch.randn(parameter.shape, generator=generator))
    return other


def write_speech_files(folder: Path) -> None:
    """Writes a tokenizer of bytes, and what sounds become."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    rust = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    rust.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in SPECIALS[:11]])
    rust.add_tokens([AddedToken(f"<|{name}|>", special=False) for name in SPECIALS[11:]])
    end = "<|endoftext|>"
    names = {f"{use}_token": end for use in ("bos", "eos", "pad", "unk")}
    WhisperTokenizer(tokenizer_object=rust, **names).save_pretrained(folder)
    rust.save(str(folder / "tokenizer.json"))
    WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"], chunk_length=1).save_pretrained(
        folder
    )


def write_model(name: str) -> None:
    """Writes one folder of `MODELS`, and checks that its files give the same numbers."""
    model = random_model(name)
    model.generation_config = GenerationConfig.from_model_config(model.config)
    if hears(name):
        model.generation_config = GenerationConfig(**WHISPER_WRITES)
    padded, texts = settled(model)
    expected = {**padded, **answers(model, padded), **texts}
    unpadded = random_batch(model, (UNPADDED,) * len(LENGTHS))
    unpadded.pop("attention_mask", None)
    for key, value in {**unpadded, **answers(model, unpadded)}.items():
        expected[f"unpadded.{key}"] = value
    model.save_pretrained(HERE / name)
    if hears(name):
        write_speech_files(HERE / name)
    save_file(
        {k: v.contiguous() for k, v in expected.items()}, HERE / name / "expected.safetensors"
    )
    again = head_of(name).from_pretrained(HERE / name, attn_implementation="eager").eval()
    for key, value in answers(again, padded).items():
        torch.testing.assert_close(value, expected[key])


def main(names: list[str]) -> None:
    for name in names or MODELS:
        write_model(name)


if __name__ == "__main__":
    main(sys.argv[1:])
