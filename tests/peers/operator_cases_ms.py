"""Cases of the domain com.microsoft."""

import itertools

import ml_dtypes
import numpy as np

from operator_case import case, codes, numbers


def ms_case(name, op, inputs, **attributes):
    return case(name, op, inputs, domain="com.microsoft", **attributes)


def scale(value):
    return np.array(value, np.float32)


def region_cases():
    x = numbers(2, 3, 10, 9)
    shares = np.array([[0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], [-0.2, 0.5, 1.3, 0.1]], np.float32)
    images, size = np.array([0, 1, 1], np.int32), np.array([4, 5], np.int32)
    for mode in ["bilinear", "nearest"]:
        inputs = [x, shares, images, size]
        yield ms_case(f"crop_{mode}", "CropAndResize", inputs, mode=mode, extrapolation_value=7.0)
    yield ms_case("unique_vector", "Unique", [np.array([2, 1, 1, 3, 2], np.float32)], outputs=3)


def quantized_cases():
    for dtype in [np.uint8, np.int8]:
        kind = np.dtype(dtype).name
        zero = [np.array(value, dtype) for value in ([120, 3, 131] if dtype == np.uint8 else [-9, 3, 5])]
        a, b = codes(2, 3, 4, 5, dtype=dtype), codes(3, 1, 5, dtype=dtype, seed=2)
        lowest = np.array(np.iinfo(dtype).min, dtype)
        pair = [a, scale(0.0213), zero[0], b, scale(0.0371), zero[1]]
        yield ms_case(f"qadd_{kind}", "QLinearAdd", [*pair, scale(0.0457), zero[2]])
        yield ms_case(f"qmul_{kind}", "QLinearMul", [*pair, scale(0.0457), zero[2]])
        one = [a, scale(0.0213), zero[0], scale(0.0057), zero[1]]
        yield ms_case(f"qsigmoid_{kind}", "QLinearSigmoid", one)
        yield ms_case(f"qleaky_{kind}", "QLinearLeakyRelu", one, alpha=0.2)
        softmax = ms_case(f"qsoftmax_{kind}", "QLinearSoftmax", [*one[:3], scale(1 / 256), lowest], axis=-1)
        softmax.attributes["opset"] = 13
        yield softmax
        yield ms_case(f"qglobal_{kind}", "QLinearGlobalAveragePool", one)
        yield ms_case(f"qpool_{kind}", "QLinearAveragePool", [*one[:3], scale(0.0091), zero[1]], kernel_shape=[2, 2],
                      pads=[1, 0, 0, 1])
        c = codes(2, 3, 2, 5, dtype=dtype, seed=3)
        parts = [scale(0.0457), zero[2], a, scale(0.0213), zero[0], c, scale(0.0371), zero[1]]
        yield ms_case(f"qconcat_{kind}", "QLinearConcat", parts, axis=2)
        yield ms_case(f"qwhere_{kind}", "QLinearWhere", [numbers(2, 3, 4, 5) > 0, *pair, scale(0.0457), zero[2]])
        left, right = codes(4, 6, dtype=dtype), codes(6, 5, dtype=np.int8, seed=2)
        bias = np.arange(-50, 75, 25, dtype=np.int32)
        gemm = [left, scale(0.02), zero[0], right, numbers(5, low=0.01, high=0.03), np.zeros(5, np.int8), bias]
        yield ms_case(f"qgemm_{kind}", "QGemm", [*gemm, scale(0.05), zero[1]])
        yield ms_case(f"qgemm_float_{kind}", "QGemm", gemm)
    weights = codes(6, 5, dtype=np.int8, seed=2)
    yield ms_case("dynamic_matmul", "DynamicQuantizeMatMul",
                  [numbers(2, 4, 6), weights, scale([0.03]), np.zeros(1, np.int8), numbers(5)])
    yield ms_case("integer_to_float", "MatMulIntegerToFloat",
                  [codes(4, 6), weights, scale(0.02), numbers(5, low=0.01, high=0.1), np.array(7, np.uint8),
                   np.zeros(5, np.int8), numbers(5, seed=3)])
    for bits, zeros in itertools.product([2, 4, 8], [False, True]):
        blocks = 3
        packed = codes(5, blocks, 16 * bits // 8)
        inputs = [numbers(2, 3, 40), packed, numbers(5 * blocks, low=0.01, high=0.1)]
        inputs += [codes(5 * ((blocks * bits + 7) // 8), seed=4)] if zeros else []
        yield ms_case(f"nbits_{bits}_{int(zeros)}", "MatMulNBits", inputs, constants=(1, 2, 3), K=40, N=5, bits=bits,
                      block_size=16)


def four_bits(*shape, lowest):
    return codes(*shape).astype(np.int32) % 16 + lowest


def lookup_cases():
    """Blocks along either axis of a table in 4-bit types, and along the last one of a table in bytes."""
    indices = np.array([[3, 0, 47], [-1, 20, 21]], np.int64)
    for kind, zeros, (gather, quantize) in itertools.product(
            [ml_dtypes.int4, ml_dtypes.uint4], [False, True], itertools.product([0, 1], repeat=2)):
        shape, name = [48, 40], np.dtype(kind).name
        lowest = -8 if kind is ml_dtypes.int4 else 0
        scales_shape = [size if axis != quantize else -(-size // 16) for axis, size in enumerate(shape)]
        inputs = [four_bits(*shape, lowest=lowest).astype(kind), np.clip(indices, -1, shape[gather] - 1),
                  numbers(*scales_shape, low=0.01, high=0.1)]
        inputs += [four_bits(*scales_shape, lowest=lowest).astype(kind)] if zeros else []
        yield ms_case(f"lookup_{name}_{int(zeros)}_{gather}{quantize}", "GatherBlockQuantized", inputs,
                      constants=(0, 2, 3), gather_axis=gather, quantize_axis=quantize, block_size=16)
    for bits, zeros in itertools.product([2, 4, 8], [False, True]):
        inputs = [codes(48, 40 * bits // 8), indices, numbers(48, 3, low=0.01, high=0.1)]
        inputs += [codes(48, (3 * bits + 7) // 8, seed=4)] if zeros else []
        yield ms_case(f"lookup_bytes_{bits}_{int(zeros)}", "GatherBlockQuantized", inputs, constants=(0, 2, 3), bits=bits,
                      gather_axis=0, quantize_axis=1, block_size=16)


def fused_cases():
    x = numbers(2, 3, 8, low=-3, high=3)
    yield ms_case("gelu", "Gelu", [x])
    yield ms_case("bias_gelu", "BiasGelu", [x, numbers(8, seed=2)])
    yield ms_case("fast_gelu", "FastGelu", [x, numbers(8, seed=2)])
    yield ms_case("fast_gelu_alone", "FastGelu", [x])
    yield ms_case("quick_gelu", "QuickGelu", [x], alpha=1.3)
    a, b = numbers(2, 4, 3), numbers(2, 3, 5, seed=2)
    yield ms_case("fused_matmul", "FusedMatMul", [a, b], alpha=0.5)
    yield ms_case("fused_matmul_a", "FusedMatMul", [a.transpose(0, 2, 1).copy(), b], transA=1)
    yield ms_case("fused_matmul_b", "FusedMatMul", [a, b.transpose(0, 2, 1).copy()], transB=1)
    yield ms_case("fused_matmul_batch", "FusedMatMul", [a.transpose(1, 0, 2).copy(), b], transBatchA=1)
    for name in ["Relu", "Tanh", "Sigmoid"]:
        gemm = [numbers(4, 3), numbers(3, 5, seed=2), numbers(5, seed=3)]
        yield ms_case(f"fused_gemm_{name}", "FusedGemm", gemm, activation=name, alpha=0.5)
        conv = [numbers(1, 2, 5, 5), numbers(3, 2, 3, 3, seed=2), numbers(3, seed=3), numbers(1, 3, 3, 3, seed=4)]
        yield ms_case(f"fused_conv_{name}", "FusedConv", conv, activation=name)
    yield ms_case("fused_conv_clip", "FusedConv", conv[:3], activation="Clip", activation_params=[-0.5, 0.75])
    yield ms_case("fused_conv_leaky", "FusedConv", conv[:3], activation="LeakyRelu", activation_params=[0.3])
    yield ms_case("pad", "Pad", [numbers(2, 3), np.array([1, 0, 0, 2]), scale(9)], mode="constant")
    yield ms_case("inverse", "Inverse", [numbers(2, 4, 4)])
    skip = [x, numbers(2, 3, 8, seed=2), numbers(8, seed=3)]
    yield ms_case("skip_norm", "SkipLayerNormalization", [*skip, numbers(8, seed=4), numbers(8, seed=5)], epsilon=1e-5)
    yield ms_case("skip_norm_alone", "SkipLayerNormalization", skip)
    yield ms_case("skip_simple", "SkipSimplifiedLayerNormalization", [*skip, numbers(8, seed=4)], epsilon=1e-5)
    yield case("simple_norm_inverse", "SimplifiedLayerNormalization", [x, numbers(8, seed=2)], opset=1, outputs=2,
               epsilon=1e-5)
    yield ms_case("skip_norm_inverse", "SkipLayerNormalization", [*skip, numbers(8, seed=4)], outputs=3)
    yield case("simple_norm", "SimplifiedLayerNormalization", [x, numbers(8, seed=2)], opset=1, epsilon=1e-5)
    ids, segments = np.array([[1, 4, 2], [0, 3, 3]], np.int32), np.array([[0, 1, 1], [1, 0, 0]], np.int32)
    tables = [numbers(5, 8), numbers(6, 8, seed=2), numbers(2, 8, seed=3), numbers(8, seed=4), numbers(8, seed=5)]
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    yield ms_case("embed_norm", "EmbedLayerNormalization", [ids, segments, *tables, mask], outputs=2)


def attention_cases():
    x = numbers(2, 4, 6)
    weights, bias = numbers(6, 24, seed=2), numbers(24, seed=3)
    mask = np.array([[1, 1, 0, 1], [1, 1, 1, 0]], np.int32)
    for causal in [0, 1]:
        yield ms_case(f"attention_{causal}", "Attention", [x, weights, bias], num_heads=2, unidirectional=causal)
    yield ms_case("attention_mask", "Attention", [x, weights, bias, mask], num_heads=2)
    yield ms_case("attention_lengths", "Attention", [x, weights, bias, np.array([3, 4], np.int32)], num_heads=2)
    added = numbers(1, 2, 4, 4, seed=5)
    yield ms_case("attention_bias", "Attention", [x, weights, bias, None, None, added], num_heads=2, scale=0.3)
    sizes = {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 4]}
    yield ms_case("attention_sizes", "Attention", [x, weights[:, :20].copy(), bias[:20]], **sizes)
    q, k, v = numbers(2, 3, 8), numbers(2, 5, 8, seed=2), numbers(2, 5, 4, seed=3)
    yield ms_case("multi_head", "MultiHeadAttention", [q, k, v], num_heads=2)
    keys = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]], np.int32)
    inputs = [q, k, numbers(2, 5, 8, seed=3), numbers(24, seed=4), keys, numbers(2, 2, 3, 5, seed=6)]
    yield ms_case("multi_head_mask", "MultiHeadAttention", inputs, num_heads=2)
    cosine, sine = numbers(10, 3, seed=7), numbers(10, 3, seed=8)
    positions = np.array([[2, 5, 1, 0], [9, 8, 7, 6]])
    for interleaved in [0, 1]:
        flat = [numbers(2, 4, 12), positions, cosine, sine]
        yield ms_case(f"rotary_{interleaved}", "RotaryEmbedding", flat, interleaved=interleaved)
        heads = [numbers(2, 2, 4, 8), np.array([3]), cosine, sine]
        yield ms_case(f"rotary_part_{interleaved}", "RotaryEmbedding", heads, interleaved=interleaved, num_heads=2,
                      rotary_embedding_dim=6)


def past_cases():
    """Keys and values of earlier calls, and masks of every form."""
    x, past = numbers(2, 4, 6), numbers(2, 2, 2, 3, 4, seed=9)
    weights, bias = numbers(6, 24, seed=2), numbers(24, seed=3)
    whole = np.array([[1, 1, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 0]], np.int32)
    for causal in [0, 1]:
        inputs = [x, weights, bias, None, past]
        yield ms_case(f"attention_past_{causal}", "Attention", inputs, outputs=2, num_heads=2, unidirectional=causal)
        inputs = [x, weights, bias, whole, past]
        yield ms_case(f"attention_past_mask_{causal}", "Attention", inputs, outputs=2, num_heads=2, unidirectional=causal)
    by_query = (numbers(2, 4, 4, seed=6) > -0.5).astype(np.int32)
    by_query[:, :, 1] = 1
    yield ms_case("attention_mask_by_query", "Attention", [x, weights, bias, by_query], num_heads=2)
    yield ms_case("attention_ends", "Attention", [x, weights, bias, np.array([4, 3, 1, 0], np.int32)], num_heads=2)
    q, k, v = numbers(2, 3, 8), numbers(2, 3, 8, seed=2), numbers(2, 3, 8, seed=3)
    pasts = [numbers(2, 2, 5, 4, seed=4), numbers(2, 2, 5, 4, seed=5)]
    for causal in [0, 1]:
        inputs = [q, k, v, numbers(24, seed=7), None, None, *pasts]
        yield ms_case(f"multi_head_past_{causal}", "MultiHeadAttention", inputs, outputs=3, num_heads=2,
                      unidirectional=causal)
    across = [q, numbers(2, 2, 5, 4, seed=4), numbers(2, 2, 5, 4, seed=5)]
    yield ms_case("multi_head_across", "MultiHeadAttention", across, num_heads=2)
    scales = [scale(0.02), numbers(24, low=0.01, high=0.03)]
    zeros = [np.array(119, np.uint8), np.zeros(24, np.int8)]
    inputs = [codes(2, 4, 6), codes(6, 24, dtype=np.int8, seed=2), bias, *scales, whole[:, :4].copy(), *zeros]
    yield ms_case("qattention", "QAttention", inputs, num_heads=2)
    inputs = [*inputs[:5], None, *zeros, past]
    yield ms_case("qattention_past", "QAttention", inputs, outputs=2, num_heads=2, unidirectional=1)


def group_cases():
    """Four heads of queries, two of keys and values; a first call, and later ones with one or more queries."""
    sizes = {"num_heads": 4, "kv_num_heads": 2}
    q, k, v = numbers(2, 5, 64), numbers(2, 5, 32, seed=2), numbers(2, 5, 32, seed=3)
    first = [np.array([4, 4], np.int32), np.array(5, np.int32)]
    cosine, sine = numbers(16, 8, seed=7), numbers(16, 8, seed=8)
    none = [None, None]

    def group(name, inputs, **attributes):
        return ms_case(f"group_{name}", "GroupQueryAttention", inputs, outputs=3, **sizes, **attributes)

    yield group("first", [q, k, v, *none, *first])
    yield group("packed", [numbers(2, 5, 128), *none, *none, *first])
    yield group("scale", [q, k, v, *none, *first], scale=0.2, softcap=2.0)
    yield group("window", [q, k, v, *none, *first], local_window_size=2)
    yield group("bias", [q, k, v, *none, *first, *none, None, numbers(1, 4, 5, 5, seed=6)])
    yield group("smooth", [q, k, v, *none, *first], smooth_softmax=1)
    yield group("sinks", [q, k, v, *none, *first, *none, *none, numbers(4, seed=6)])
    for interleaved in [0, 1]:
        yield group(f"rotary_{interleaved}", [q, k, v, *none, *first, cosine, sine], do_rotary=1,
                    rotary_interleaved=interleaved)
    pasts = [numbers(2, 2, 6, 16, seed=4), numbers(2, 2, 6, 16, seed=5)]
    later = [np.array([6, 4], np.int32), np.array(7, np.int32)]
    one = [numbers(2, 1, 64), numbers(2, 1, 32, seed=2), numbers(2, 1, 32, seed=3)]
    yield group("later", [*one, *pasts, *later])
    yield group("later_rotary", [*one, *pasts, *later, cosine, sine], do_rotary=1, local_window_size=3)
    several = [numbers(1, 3, 64), numbers(1, 3, 32, seed=2), numbers(1, 3, 32, seed=3)]
    shorter = [past[:1].copy() for past in pasts]
    yield group("several", [*several, *shorter, np.array([8], np.int32), np.array(9, np.int32), cosine, sine], do_rotary=1)


def lstm_cases():
    for direction, by_gate in itertools.product(["forward", "bidirectional"], [False, True]):
        count = 2 if direction == "bidirectional" else 1
        shape = [count, 20] if by_gate else [count]
        w, r = codes(count, 4, 20, dtype=np.int8, seed=2), codes(count, 5, 20, dtype=np.int8, seed=3)
        scales = [numbers(*shape, low=0.002, high=0.01, seed=seed) for seed in [4, 5]]
        zeros = np.zeros(shape, np.int8)
        inputs = [numbers(6, 1, 4), w, r, numbers(count, 40, seed=6), *[None] * 4, scales[0], zeros, scales[1], zeros]
        yield ms_case(f"dynamic_lstm_{direction}_{int(by_gate)}", "DynamicQuantizeLSTM", inputs, outputs=3,
                      constants=(1, 2, 8, 9, 10, 11), hidden_size=5, direction=direction)


def renamed_cases():
    yield ms_case("transpose_matmul", "TransposeMatMul", [numbers(2, 4, 3), numbers(2, 5, 3, seed=2)], transB=1, alpha=0.5)
    yield ms_case("trilu", "Trilu", [numbers(2, 4, 5), np.array(1)], upper=0)


MAKERS = [past_cases, group_cases, lstm_cases, renamed_cases, region_cases, quantized_cases, lookup_cases, fused_cases, attention_cases]
