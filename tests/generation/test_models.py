"""PyTorch models with caches as a `Step`: texts of whole batches are those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ktlite.generation import Generation, generate

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning"),
]

ENDS = [0, 1, 2, 3, 4, 14, 15, 16, 17]  # many, so that random texts end early

SEARCHES: list[dict[str, Any]] = [
    {},
    {"num_beams": 4, "num_return_sequences": 2},
    {"num_beams": 3, "early_stopping": True, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.4, "min_new_tokens": 5},
]


class TorchStep:
    """A model of transformers that reads through its cache, as `ktlite.generation` asks."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, tokens: np.ndarray, position: int, state: Any, order: Any) -> Any:
        import torch

        cache, encoded, mask = state
        if order is not None:
            order = torch.tensor(order)
            cache.batch_select_indices(order)
            encoded = None if encoded is None else encoded[order]
            mask = None if mask is None else mask[order]
        read = torch.tensor(tokens, dtype=torch.long)
        with torch.no_grad():
            if encoded is None:
                out = self.model(input_ids=read, past_key_values=cache, use_cache=True)
            else:
                out = self.model(
                    decoder_input_ids=read, past_key_values=cache, use_cache=True,
                    encoder_outputs=(encoded,), attention_mask=mask,
                )  # fmt: skip
        return out.logits[:, -1].numpy(), (out.past_key_values, encoded, mask)


def raised(model: Any) -> Any:
    """Returns a model with random weights that are large enough for texts of many tokens."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "position" not in name:
                weight.mul_(12)
    return model.eval()


@pytest.mark.parametrize("search", SEARCHES)
def test_a_decoder_writes_a_batch_of_unequal_prompts(search: dict[str, Any]) -> None:
    import torch
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=2,
                        bos_token_id=1, eos_token_id=ENDS)  # fmt: skip
    model = raised(GPT2LMHeadModel(config))
    prompts = [[5, 6, 7], [8] * 9, [9], [10, 11, 12, 13]]
    options = {"eos_token_id": ENDS, "pad_token_id": 0, "max_new_tokens": 14, **search}
    how = Generation(**options)
    state = (DynamicCache(config=config), None, None)
    texts = [t.ids.tolist() for t in generate(TorchStep(model), state, prompts, how, positions=64)]
    longest = max(map(len, prompts))
    padded = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    if how.repetition_penalty == 1 and not how.no_repeat_ngram_size:
        expected = model.generate(padded, attention_mask=mask, **options)[:, longest:].tolist()
        assert texts == [ended(row, ENDS) for row in expected]
    alone = []
    for prompt in prompts:  # theirs counts what pads a batch where ngrams repeat
        rows = model.generate(torch.tensor([prompt]), **options)[:, len(prompt) :].tolist()
        alone += [ended(row, ENDS) for row in rows]
    assert texts == alone
    assert len({len(text) for text in texts}) > 1


@pytest.mark.parametrize("search", SEARCHES)
def test_a_decoder_with_an_encoder_writes_a_batch(search: dict[str, Any]) -> None:
    import torch
    from transformers import DynamicCache, EncoderDecoderCache, MarianConfig, MarianMTModel

    torch.manual_seed(1)
    config = MarianConfig(vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=2,
                          encoder_attention_heads=2, decoder_attention_heads=2,
                          encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
                          pad_token_id=39, eos_token_id=0, decoder_start_token_id=39,
                          forced_eos_token_id=0, bos_token_id=0)  # fmt: skip
    model = raised(MarianMTModel(config))
    sources = [[5, 6, 7, 0], [8] * 9 + [0], [9, 0], [10, 11, 12, 13, 0]]
    longest = max(map(len, sources))
    ids = torch.tensor([s + [39] * (longest - len(s)) for s in sources])
    mask = (ids != 39).long()
    options = {
        "bad_words_ids": [[39]],
        "forced_eos_token_id": 0,
        "max_length": 15,
        "eos_token_id": ENDS,
        **search,
    }
    how = Generation(pad_token_id=39, decoder_start_token_id=39, **options)
    encoded = model.get_encoder()(ids, attention_mask=mask).last_hidden_state.detach()
    cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
    prompts = [[how.first_token()]] * len(sources)
    texts = generate(TorchStep(model), (cache, encoded, mask), prompts, how)
    expected = model.generate(ids, attention_mask=mask, **options)[:, 1:].tolist()
    assert [text.ids.tolist() for text in texts] == [ended(row, ENDS) for row in expected]
    assert len({len(text.ids) for text in texts}) > 1


def ended(row: list[int], ends: list[int]) -> list[int]:
    """Returns a text up to the end in it."""
    places = [place for place, token in enumerate(row) if token in ends]
    return row[: places[0] + 1] if places else row
