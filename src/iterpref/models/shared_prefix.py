"""Attention over packed pairs: which keys a token sees, as a dense mask or as FlexAttention's block mask.

A token t of a row sees at most two runs of keys:

    near   [near_t, t]          its own branch, or all of its pair that stands in front of it
    far    [far_t, far_end_t)   from the second branch: the prefix that it shares with the first

With a sliding window of w tokens, t sees positions above p_t - w. Inside either run positions rise with the index, so
that a window is again two runs, only shorter. Nothing here asks for a token's pair or branch.

Families: every decoder of transformers that takes positions from RoPE and a mask of ours through its attention interface
could run; those in `FAMILIES` are proven by tests/numerics/test_families.py, and others are refused by `check_shared`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from iterpref.batch import Batch
from iterpref.errors import UserError

# The names under which our attention is known to transformers: a part of compiled layers, and apart from them.
FLEX, FLEX_APART = "iterpref_flex", "iterpref_flex_apart"
_COMPILATIONS = 64
_BLOCK = 128  # tokens in a side of a FlexAttention block
# Without it a kernel for any length would ask of each token whether it is one: two fifths more time. `block_mask` makes it true.
_OPTIONS: Any = {"IS_DIVISIBLE": True}
# Of these, the angles at a position change with the length of the forward pass.
_ROPES_BY_LENGTH = ("dynamic", "longrope")
# Families whose layers differ in their window take a mask by layer type, the others one mask for all layers.
FAMILIES = {
    "llama": False, "mistral": False, "starcoder2": False, "gemma": False, "deepseek_v2": False, "deepseek_v3": False,
    "qwen2": True, "qwen3": True, "gemma2": True, "gemma3_text": True,
}  # fmt: skip


class Sight(NamedTuple):
    """The two runs of keys that each token sees, [S, T] int32 each."""

    near_ST: Tensor
    far_ST: Tensor
    far_end_ST: Tensor


def sight(batch: Batch, window: int | None = None) -> Sight:
    """What each token of the batch sees; `window` tokens, itself included, at most."""
    near_ST, far_ST, far_end_ST = batch.near_ST, batch.far_ST, batch.far_end_ST
    if window is None:
        return Sight(near_ST, far_ST, far_end_ST)
    index_T = torch.arange(near_ST.shape[1], device=near_ST.device, dtype=near_ST.dtype)
    position_ST = batch.position_ids_ST.to(near_ST.dtype)
    # The key at far_ST has position 0.
    out_of_sight_ST = (position_ST - window + 1).clamp(min=0)
    far_ST = far_ST + out_of_sight_ST
    # A run that is out of sight is no run, rather than an empty one somewhere.
    return Sight(torch.maximum(near_ST, index_T - window + 1), far_ST, far_end_ST.where(far_ST < far_end_ST, 0))


def dense_mask(runs: Sight, dtype: torch.dtype) -> Tensor:
    """[S, 1, T, T] of `dtype`: 0 where query t sees key u, else its lowest number."""
    near_ST1, far_ST1, far_end_ST1 = (run[:, :, None] for run in runs)
    key_T = torch.arange(near_ST1.shape[1], device=near_ST1.device, dtype=near_ST1.dtype)
    seen_STT = ((key_T >= near_ST1) & (key_T <= key_T[:, None])) | ((key_T >= far_ST1) & (key_T < far_end_ST1))
    mask_STT = torch.zeros(seen_STT.shape, dtype=dtype, device=seen_STT.device)
    return mask_STT.masked_fill_(~seen_STT, torch.finfo(dtype).min)[:, None]


def block_mask(runs: Sight) -> Any:
    """The same as a FlexAttention `BlockMask` of whole blocks: tokens behind the row's see nothing, and nothing sees them.

    Built from [T, blocks] comparisons, on the device, without waiting for it.
    """
    from torch.nn.attention.flex_attention import BlockMask

    S, row = runs.near_ST.shape
    n_blocks = -(-row // _BLOCK)
    T = n_blocks * _BLOCK
    near_ST, far_ST, far_end_ST = (
        pad(run, (0, T - row), value=value) for run, value in zip(runs, (T, 0, 0), strict=True)
    )
    index_T1 = torch.arange(T, device=near_ST.device, dtype=near_ST.dtype)[:, None]
    first_B = torch.arange(n_blocks, device=near_ST.device, dtype=near_ST.dtype) * _BLOCK
    last_B = first_B + _BLOCK - 1
    near_ST1, far_ST1, far_end_ST1 = (run[:, :, None] for run in (near_ST, far_ST, far_end_ST))
    touched_STB = ((last_B >= near_ST1) & (first_B <= index_T1)) | ((last_B >= far_ST1) & (first_B < far_end_ST1))
    covered_STB = ((first_B >= near_ST1) & (last_B <= index_T1)) | ((first_B >= far_ST1) & (last_B < far_end_ST1))
    touched = touched_STB.view(S, n_blocks, _BLOCK, n_blocks).any(2)
    full = covered_STB.view(S, n_blocks, _BLOCK, n_blocks).all(2)
    partial = touched & ~full

    def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return ((k >= near_ST[b, q]) & (k <= q)) | ((k >= far_ST[b, q]) & (k < far_end_ST[b, q]))

    return BlockMask(
        (T, T), *_lists(partial), *_lists(full), *_lists(partial.mT), *_lists(full.mT), (_BLOCK, _BLOCK), sees
    )


def _lists(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of marked columns [S, 1, rows], and their indices in front of the others [S, 1, rows, columns]; int32."""
    order = blocks.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[:, None], order.to(torch.int32)[:, None].contiguous()


def flex_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float | None = None,
    softcap: float | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """FlexAttention behind transformers' attention interface: [S, heads, T, D] in, [S, T, heads, D] out.

    Beside transformers' own version keys stay grouped in a forward pass alone, whatever the number of heads, and no
    logsumexp is kept. T grows to the mask's.
    """
    # Under autocast RoPE gives queries and keys in fp32; SDPA would lower them by itself.
    query, key = query.to(value.dtype), key.to(value.dtype)
    within = torch.compiler.is_compiling()
    if not within:
        _forget_marks(query, key, value)
    T = query.shape[2]
    if behind := attention_mask.seq_lengths[0] - T:
        query, key, value = (pad(tensor, (0, 0, 0, behind)) for tensor in (query, key, value))
    attend = _attend if within else _compiled()
    return attend(query, key, value, attention_mask, scaling, softcap)[:, :, :T].transpose(1, 2).contiguous(), None


def _forget_marks(*tensors: Tensor) -> None:
    """Layers compiled for any length mark sizes of what they return, under FSDP the heads too, for which the kernel has to be made."""
    for tensor in tensors:
        for name in [name for name in vars(tensor) if name.endswith("_dynamic_indices")]:
            delattr(tensor, name)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float | None, softcap: float | None
) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention as flex

    def capped(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        assert softcap is not None
        return softcap * torch.tanh(score / softcap)

    if torch.is_grad_enabled() and (group := query.shape[1] // key.shape[1]) > 1:
        # Backward goes through the queries of a block of keys one after the other: with a program for each head instead of
        # each group there are enough programs for the GPU.
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    return flex(
        query, key, value, score_mod=capped if softcap is not None else None, block_mask=mask, scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1], kernel_options=_OPTIONS,
    )  # fmt: skip


@functools.cache
def _compiled() -> Any:
    """FlexAttention is fused only when compiled: for the first length, and for any once a second one comes."""
    return torch.compile(_attend)


def register_flex() -> str:
    """Makes `flex_attention` known to transformers; returns the name to give as `attn_implementation`."""
    import torch._dynamo
    from transformers import AttentionInterface

    # Models of a process, kinds of their layers, with a gradient and without: more than torch compiles one function for.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _COMPILATIONS)
    AttentionInterface.register(FLEX, flex_attention)
    AttentionInterface.register(FLEX_APART, torch.compiler.disable(flex_attention))
    return FLEX


def attend_apart(model: Any) -> None:
    """Takes FlexAttention out of the model's layers, compiled at their first call or not: for weights that are shards, where dynamo
    takes heads and their width for numbers that change, and the kernel has to be made for them."""
    if model.config._attn_implementation == FLEX:
        model.set_attn_implementation(FLEX_APART)


def windows(config: Any) -> tuple[int | None, int | None]:
    """(window of full-attention layers, window of sliding layers) of a transformers config; None: no limit."""
    window = getattr(config, "sliding_window", None)
    if not FAMILIES[config.model_type]:
        return window, window
    return None, window


def attention_masks(model: Any, batch: Batch, dtype: torch.dtype) -> Any:
    """What the model's forward takes as `attention_mask` for this batch."""
    config = model.config
    if batch.packing == "none":
        return None  # one sequence, causal
    if config.model_type not in FAMILIES:
        assert batch.packing == "padded", "check_shared refuses other packings of families that are not proven"
        return (batch.near_ST == 0).long()  # a padding token sees itself alone
    flex = config._attn_implementation in (FLEX, FLEX_APART)

    def mask(window: int | None) -> Any:
        runs = sight(batch, window)
        return block_mask(runs) if flex else dense_mask(runs, dtype)

    full, sliding = windows(config)
    if not FAMILIES[config.model_type]:
        return mask(sliding)
    return {"full_attention": mask(full), **({"sliding_attention": mask(sliding)} if sliding else {})}


def check_shared(config: Any, name: str) -> None:
    """Raises `UserError` where shared prefixes are not proven right for this model, with the reason."""
    kind = config.model_type
    unknown = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    ropes = {rope for rope in _rope_types(config) if rope in _ROPES_BY_LENGTH}
    if kind not in FAMILIES:
        reason = f"is a {kind}, and shared prefixes are proven for {', '.join(sorted(FAMILIES))}"
    elif unknown:
        reason = f"has layers of type {', '.join(sorted(unknown))}, whose keys are not a window of the past"
    elif ropes:
        reason = f"has angles of position that depend on the longest sequence beside a token (RoPE of type {', '.join(ropes)})"
    else:
        return
    raise UserError(f"data.packing=shared: {name} {reason}; set data.packing=none")


def _rope_types(config: Any) -> list[str]:
    parameters = getattr(config, "rope_parameters", None) or {}
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    return [kind["rope_type"] for kind in kinds if kind.get("rope_type")]
