"""The Triton kernels behind `logratio.py`: sweep, finish, backward, and the label's product.

Flags known when a kernel is compiled: MAPPED, the values read are a head's products, not logits (CAPPED with a soft cap,
BIASED with a bias); EXACT, the label's product is known more exactly; ENERGY, statistics are wanted.

Shapes: R rows of logits, V vocabulary, H hidden.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _to_logits(product, bias, scale, softcap, CAPPED: tl.constexpr):
    z = (product + bias) * scale
    if CAPPED:
        # tanh(x) = sign(x) (1 - e) / (1 + e), e = exp(-2 |x|)
        e = tl.exp(-2.0 * tl.abs(z) / softcap)
        z = tl.where(z < 0, -softcap, softcap) * ((1.0 - e) / (1.0 + e))
    return z


@triton.jit
def _fold(top, total, energy, tile, ENERGY: tl.constexpr):
    """Folds a tile [threads, 8] into each thread's logsumexp = top + log(total); energy = sum exp(z - top) (z - top)."""
    new_top = tl.maximum(top, tl.max(tile, axis=1))
    # As long as only -inf was seen (masked vocabulary), shifting by the maximum would be -inf - -inf = NaN.
    shift = tl.where(new_top == float("-inf"), 0.0, new_top)
    shrink = tl.exp(top - shift)
    terms = tl.exp(tile - shift[:, None])
    if ENERGY:
        # A token that cannot happen adds 0, not 0 * -inf.
        fresh = tl.sum(terms * tl.where(terms > 0.0, tile - shift[:, None], 0.0), axis=1)
        energy = _shifted(energy, total, top, shift) * shrink + fresh
    return new_top, total * shrink + tl.sum(terms, axis=1), energy


@triton.jit
def _shifted(energy, total, top, new_top):
    """energy, when new_top takes the place of top in (z - top)."""
    return energy + total * tl.where(total > 0.0, top - new_top, 0.0)


@triton.jit
def _sweep_piece(
    row_ptr, col_stride, start, end, bias_ptr, scale, softcap, parts_ptr, parts_stride,
    MAPPED: tl.constexpr, CAPPED: tl.constexpr, BIASED: tl.constexpr, ENERGY: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    # Columns are int64: a transposed view has a column stride of R or more.
    threads: tl.constexpr = TILE // 8
    columns = tl.arange(0, threads)[:, None] * 8 + tl.arange(0, 8)[None, :]
    columns = columns.to(tl.int64)
    top = tl.full((threads,), float("-inf"), tl.float32)
    total = tl.zeros((threads,), tl.float32)
    energy = tl.zeros((threads,), tl.float32)
    whole = start + (end - start) // TILE * TILE
    for at in range(start, whole, TILE):
        tile = tl.load(row_ptr + (at + columns) * col_stride).to(tl.float32)
        if MAPPED:
            bias = tl.load(bias_ptr + at + columns) if BIASED else 0.0
            tile = _to_logits(tile, bias, scale, softcap, CAPPED)
        top, total, energy = _fold(top, total, energy, tile, ENERGY)
    if whole < end:
        inside = whole + columns < end
        tile = tl.load(row_ptr + (whole + columns) * col_stride, mask=inside, other=0.0).to(tl.float32)
        if MAPPED:
            bias = tl.load(bias_ptr + whole + columns, mask=inside, other=0.0) if BIASED else 0.0
            tile = _to_logits(tile, bias, scale, softcap, CAPPED)
        # The tail reads -inf, which adds nothing; 0 would add exp(0 - top).
        top, total, energy = _fold(top, total, energy, tl.where(inside, tile, float("-inf")), ENERGY)
    piece_top = tl.max(top, axis=0)
    shift = tl.where(piece_top == float("-inf"), 0.0, piece_top)
    shrink = tl.exp(top - shift)
    tl.store(parts_ptr, piece_top)
    tl.store(parts_ptr + parts_stride, tl.sum(total * shrink, axis=0))
    if ENERGY:
        tl.store(parts_ptr + 2 * parts_stride, tl.sum(_shifted(energy, total, top, shift) * shrink, axis=0))


@triton.jit(do_not_specialize=["R"])
def sweep_kernel(
    policy_ptr, ref_ptr, mask_ptr, bias_ptr, parts_ptr,
    policy_row_stride, policy_col_stride, ref_row_stride, ref_col_stride, scale, softcap, R,
    V: tl.constexpr, MODELS: tl.constexpr, PIECES: tl.constexpr,
    MAPPED: tl.constexpr, CAPPED: tl.constexpr, BIASED: tl.constexpr, ENERGY: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    # 1. One program, one piece of a row of one model. int64, because row * stride passes 2^31 at row 14,134 of
    #    V = 151,936. All on the one grid axis that has no limit of 65,535.
    program = tl.program_id(0)
    model = program % MODELS
    piece = program // MODELS % PIECES
    row = (program // (MODELS * PIECES)).to(tl.int64)

    # 2. A masked row is done before any logit is read.
    if tl.load(mask_ptr + row) == 0.0:
        return

    # 3. parts [model, 3, PIECES, R]: top, total, energy.
    columns_a_piece: tl.constexpr = tl.cdiv(tl.cdiv(V, TILE), PIECES) * TILE
    start = tl.minimum(piece * columns_a_piece, V)
    end = tl.minimum(start + columns_a_piece, V)
    parts_stride = R.to(tl.int64) * PIECES
    here_ptr = parts_ptr + model * 3 * parts_stride + piece * R + row
    if model == 0:
        _sweep_piece(
            policy_ptr + row * policy_row_stride, policy_col_stride, start, end, bias_ptr, scale, softcap,
            here_ptr, parts_stride, MAPPED, CAPPED, BIASED, ENERGY, TILE,
        )  # fmt: skip
    else:
        _sweep_piece(
            ref_ptr + row * ref_row_stride, ref_col_stride, start, end, bias_ptr, scale, softcap,
            here_ptr, parts_stride, False, False, False, False, TILE,
        )  # fmt: skip


@triton.jit
def _gather_pieces(parts_ptr, row, live, R, PIECES: tl.constexpr, ENERGY: tl.constexpr, ROWS: tl.constexpr):
    """(top, total, energy) of whole rows."""
    stride = R.to(tl.int64) * PIECES
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    for piece in tl.static_range(PIECES):
        top = tl.maximum(top, tl.load(parts_ptr + piece * R + row, mask=live, other=0.0))
    shift = tl.where(top == float("-inf"), 0.0, top)
    total = tl.zeros((ROWS,), tl.float32)
    energy = tl.zeros((ROWS,), tl.float32)
    for piece in tl.static_range(PIECES):
        here_ptr = parts_ptr + piece * R + row
        piece_top = tl.load(here_ptr, mask=live, other=0.0)
        piece_total = tl.load(here_ptr + stride, mask=live, other=1.0)
        shrink = tl.exp(piece_top - shift)
        total += shrink * piece_total
        if ENERGY:
            piece_energy = tl.load(here_ptr + 2 * stride, mask=live, other=0.0)
            energy += shrink * _shifted(piece_energy, piece_total, piece_top, shift)
    return top, total, energy


@triton.jit(do_not_specialize=["R"])
def finish_kernel(
    policy_ptr,
    ref_ptr,  # logits [R, V] if REF_LOGITS, else log-probs [R] if REF_LOGPS, else unused
    labels_ptr, mask_ptr, bias_ptr, label_products_ptr, parts_ptr,
    logratio_ptr, policy_logps_ptr, ref_logps_ptr, lse_ptr, entropy_ptr, top1_ptr,
    policy_row_stride, policy_col_stride, ref_row_stride, ref_col_stride, scale, softcap, R,
    V: tl.constexpr, REF_LOGITS: tl.constexpr, REF_LOGPS: tl.constexpr, EXACT: tl.constexpr,
    MAPPED: tl.constexpr, CAPPED: tl.constexpr, BIASED: tl.constexpr, ENERGY: tl.constexpr,
    PIECES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    # 1. A block of rows. Dead rows read nothing but their mask, not even the label, which may be -100.
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < R
    weight = tl.load(mask_ptr + row, mask=inside, other=0.0)
    live = weight != 0.0
    top, total, energy = _gather_pieces(parts_ptr, row, live, R, PIECES, ENERGY, ROWS)

    # 2. The label's logit in fp32; NaN, not a stray read, for a label outside [0, V).
    label = tl.load(labels_ptr + row, mask=live, other=0).to(tl.int64)
    known = live & (label >= 0) & (label < V)
    policy_at = policy_ptr + row * policy_row_stride + label * policy_col_stride
    z = tl.load(policy_at, mask=known, other=float("nan")).to(tl.float32)
    bias = tl.load(bias_ptr + label, mask=known, other=0.0) if BIASED else 0.0
    if MAPPED:
        z = _to_logits(z, bias, scale, softcap, CAPPED)
    likeliest = z >= top

    # 3. The same from a product that was not rounded, put in the place of the rounded one in the sums.
    if EXACT:
        rounded = z
        z = tl.load(label_products_ptr + row, mask=known, other=float("nan"))
        if MAPPED:
            z = _to_logits(z, bias, scale, softcap, CAPPED)
        likeliest = likeliest | (z >= top)
        new_top = tl.maximum(top, z)
        shrink = tl.exp(top - new_top)
        wrong, right = tl.exp(rounded - new_top), tl.exp(z - new_top)
        energy = _shifted(energy, total, top, new_top) * shrink
        energy += right * (z - new_top) - wrong * (rounded - new_top)
        total = tl.maximum(total * shrink - wrong, 0.0) + right
        top = new_top

    # 4. (z - top) - log(total), in this order: top + log(total) alone would round at the size of the logits.
    policy_logp = tl.where(live, (z - top) - tl.log(total), 0.0)
    ref_logp = tl.zeros((ROWS,), tl.float32)
    if REF_LOGITS:
        stride = R.to(tl.int64) * PIECES
        ref_top, ref_total, _ = _gather_pieces(parts_ptr + 3 * stride, row, live, R, PIECES, False, ROWS)
        ref_at = ref_ptr + row * ref_row_stride + label * ref_col_stride
        ref_z = tl.load(ref_at, mask=known, other=float("nan")).to(tl.float32)
        ref_logp = tl.where(live, (ref_z - ref_top) - tl.log(ref_total), 0.0)
    if REF_LOGPS:
        ref_logp = tl.load(ref_ptr + row, mask=live, other=0.0)
    tl.store(logratio_ptr + row, tl.where(live, weight * (policy_logp - ref_logp), 0.0), mask=inside)
    tl.store(policy_logps_ptr + row, policy_logp, mask=inside)
    tl.store(ref_logps_ptr + row, ref_logp, mask=inside)
    tl.store(lse_ptr + row, tl.where(live, top + tl.log(total), 0.0), mask=inside)
    if ENERGY:
        tl.store(entropy_ptr + row, tl.where(live, tl.log(total) - energy / total, 0.0), mask=inside)
        tl.store(top1_ptr + row, tl.where(live & likeliest, 1.0, 0.0), mask=inside)


@triton.jit
def backward_kernel(
    logits_ptr,
    out_ptr,  # may be logits_ptr: a program reads its own tile, then writes that tile and no other
    labels_ptr, lse_ptr, grad_ptr, bias_ptr, label_products_ptr,
    row_stride, col_stride, out_row_stride, out_col_stride, scale, softcap,
    V: tl.constexpr, EXACT: tl.constexpr, MAPPED: tl.constexpr, CAPPED: tl.constexpr, BIASED: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    # 1. One program, one tile; tiles run fastest.
    tiles_a_row: tl.constexpr = tl.cdiv(V, TILE)
    program = tl.program_id(0)
    row = (program // tiles_a_row).to(tl.int64)  # int64 for row * stride, as in the sweep
    columns = (program % tiles_a_row) * TILE + tl.arange(0, TILE).to(tl.int64)
    inside = columns < V
    out_tile_ptr = out_ptr + row * out_row_stride + columns * out_col_stride

    # 2. A row without gradient gets zeros, and its logits (stale, or anything) are not read.
    grad = tl.load(grad_ptr + row)
    if grad == 0.0:
        tl.store(out_tile_ptr, tl.zeros((TILE,), dtype=out_ptr.dtype.element_ty), mask=inside)
        return

    # 3. g (onehot - softmax) in fp32, rounded once, on the store. A logit of -inf has softmax exp(-inf - lse) = 0.
    z = tl.load(logits_ptr + row * row_stride + columns * col_stride, mask=inside, other=0.0).to(tl.float32)
    is_label = columns == tl.load(labels_ptr + row)
    if EXACT:
        z = tl.where(is_label, tl.load(label_products_ptr + row), z)
    if MAPPED:
        bias = tl.load(bias_ptr + columns, mask=inside, other=0.0) if BIASED else 0.0
        z = _to_logits(z, bias, scale, softcap, CAPPED)
    slope = grad * (tl.where(is_label, 1.0, 0.0) - tl.exp(z - tl.load(lse_ptr + row)))
    if MAPPED:
        slope = slope * scale
        if CAPPED:
            slope = slope * (1.0 - (z / softcap) * (z / softcap))
    tl.store(out_tile_ptr, slope.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def label_product_kernel(
    hidden_ptr, weight_ptr, labels_ptr, mask_ptr, out_ptr, hidden_row_stride, hidden_col_stride, weight_row_stride,
    weight_col_stride, V, H: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    if tl.load(mask_ptr + row) == 0.0:
        tl.store(out_ptr + row, 0.0)
        return
    label = tl.load(labels_ptr + row).to(tl.int64)
    if (label < 0) | (label >= V):
        tl.store(out_ptr + row, float("nan"))
        return
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, H, BLOCK):
        at = start + tl.arange(0, BLOCK).to(tl.int64)
        h = tl.load(hidden_ptr + row * hidden_row_stride + at * hidden_col_stride, mask=at < H, other=0.0)
        w = tl.load(weight_ptr + label * weight_row_stride + at * weight_col_stride, mask=at < H, other=0.0)
        sums += h.to(tl.float32) * w.to(tl.float32)
    tl.store(out_ptr + row, tl.sum(sums, axis=0))
