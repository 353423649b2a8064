"""Whether a model can be trained here: what its small files tell before any pair is made, the rest before its first pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iterpref.config import ModelConfig
from iterpref.data.tokenise import check_tokenizer, encode_prompts
from iterpref.errors import UserError
from iterpref.models.policy import load_tokenizer, model_settings, output_head, render_prompts
from iterpref.models.shared_prefix import check_shared

_SAMPLE = "Write a function that adds two numbers."


def check_tokens(folder: Path, config: ModelConfig) -> None:
    """Raises `UserError` where the folder's tokenizer cannot make pairs into tokens that its model knows. Reads no weights."""
    tokenizer = load_tokenizer(folder)
    check_tokenizer(tokenizer)
    (text,) = render_prompts(tokenizer, [_SAMPLE], config)
    contents = () if config.prompt_format == "plain" else (_SAMPLE,)
    (prompt,) = encode_prompts(tokenizer, [text], [contents], ["a prompt"])
    # Added tokens that no pair has to hold may lie beyond the embeddings: Gemma 3 ships one that stands for an image.
    own = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    last = max(*own.values(), *prompt, tokenizer.eos_token_id)
    known = model_settings(folder).get_text_config().vocab_size
    if last >= known:
        raise UserError(
            f"the tokenizer of {folder} has the token {tokenizer.convert_ids_to_tokens(last)!r} with id {last}, but its model knows "
            f"{known} tokens, from 0 to {known - 1}: they do not belong together, or tokens were added without "
            "model.resize_token_embeddings"
        )


def check_architecture(folder: Path, config: ModelConfig, packing: str) -> None:
    """Raises `UserError` for a model of a kind that is not trained here, or not with this packing. Reads no weights."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    settings = model_settings(folder)
    if type(settings) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(
            f"{folder} is a {settings.model_type}, which transformers knows no causal language model of: use another model"
        )
    if packing == "shared":
        check_shared(settings, config.name)


def check_model(model: Any, config: ModelConfig, packing: str, longest: int) -> None:
    """Raises `UserError` for a batch that this model would get wrong: too long for it, or of an unchecked kind."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit and longest > limit:
        raise UserError(
            f"the longest pair has {longest} tokens, but {config.name} ends at {limit}: "
            "lower data.max_prompt_tokens and data.max_completion_tokens"
        )
    if packing == "shared":
        check_shared(model.config, config.name)


def check_head(model: Any, name: str) -> None:
    """Raises `UserError` unless `output_head` gives the model's own logits, and these know nothing of what comes later.

    Some families do more behind their last layer; others (RoBERTa) are encoders that can be opened as decoders.
    """
    seen: list[Tensor] = []
    handle = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    attention = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")  # no mask here, and no kernel to compile
        ids_T = torch.arange(8, device=model.device)
        with torch.no_grad():
            logits_TV, first_TV = (model(input_ids=ids[None], use_cache=False).logits[0] for ids in (ids_T, ids_T[:4]))
    finally:
        model.set_attn_implementation(attention)
        handle.remove()
    weight_VH, head = output_head(model)
    ours_TV = head.logits(seen[0][0] @ weight_VH.T)
    if not torch.allclose(ours_TV.float(), logits_TV.float(), rtol=1e-2, atol=1e-2):
        raise UserError(
            f"{name} is a {model.config.model_type}, which does more to its logits than a linear head, a scale and a soft cap: "
            "its log-probs would be wrong here; use another model"
        )
    if not torch.allclose(first_TV.float(), logits_TV[:4].float(), rtol=1e-2, atol=1e-2):
        raise UserError(
            f"{name} is a {model.config.model_type} whose tokens see those that follow: it cannot be trained to write; "
            "use another model, or set is_decoder in its config.json if it was trained as one"
        )
