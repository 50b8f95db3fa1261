"""Models of one node each, whose results onnxruntime knows: operators and forms that ONNX's own node tests leave out."""

import dataclasses
import itertools

import numpy as np

OPSETS = {"": 22, "ai.onnx.ml": 3, "com.microsoft": 1}


@dataclasses.dataclass
class Case:
    """One node. An input is an array, or None where it is left out; ones in `constants` become initializers."""

    name: str
    op: str
    inputs: list
    attributes: dict
    domain: str = ""
    opset: int = 0
    outputs: int = 1
    constants: tuple = ()


def case(name, op, inputs, domain="", opset=0, outputs=1, constants=(), **attributes):
    return Case(name, op, inputs, attributes, domain, opset or OPSETS[domain], outputs, constants)


def numbers(*shape, seed=1, low=-1.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def codes(*shape, dtype=np.uint8, seed=1):
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


def grid_sample_cases():
    modes = {16: ["bilinear", "nearest", "bicubic"], 20: ["linear", "nearest", "cubic"]}
    for opset, corners, padding in itertools.product(modes, [0, 1], ["zeros", "border", "reflection"]):
        for mode in modes[opset]:
            inputs = [numbers(2, 3, 5, 4), numbers(2, 6, 7, 2, seed=2, low=-1.6, high=1.6)]
            attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
            yield case(f"grid_sample_{opset}_{mode}_{padding}_{corners}", "GridSample", inputs, opset=opset, **attributes)
            if opset == 20 and mode != "cubic":
                volume = [numbers(1, 2, 3, 4, 5), numbers(1, 2, 3, 4, 3, seed=2, low=-1.6, high=1.6)]
                yield case(f"grid_sample_3d_{mode}_{padding}_{corners}", "GridSample", volume, opset=opset, **attributes)


def roi_align_cases():
    rois = np.array([[0, 0, 5, 5], [1.5, 2, 9, 8.5], [3, 3, 3.1, 3.2], [-2, -2, 12, 12]], np.float32)
    inputs = [numbers(2, 3, 10, 9), rois, np.array([0, 1, 0, 1])]
    for opset, mode, samples in itertools.product([10, 16], ["avg", "max"], [0, 2]):
        attributes = {"output_height": 3, "output_width": 2, "sampling_ratio": samples, "spatial_scale": 0.75}
        yield case(f"roi_align_{opset}_{mode}_{samples}", "RoiAlign", inputs, opset=opset, mode=mode, **attributes)


def einsum_cases():
    shapes = {
        "ij,jk->ik": [(3, 4), (4, 5)],
        "bij,bjk": [(2, 3, 4), (2, 4, 5)],
        "...ij,...jk->...ik": [(2, 5, 3, 4), (2, 5, 4, 2)],
        "ii->i": [(4, 4)],
        "ii": [(4, 4)],
        "ijk->kji": [(2, 3, 4)],
        "ij->": [(3, 4)],
        "i,j,k->kji": [(2,), (3,), (4,)],
        "ij,ij->i": [(3, 4), (3, 4)],
        "bhqd,bhkd->bhqk": [(2, 3, 4, 5), (2, 3, 6, 5)],
        "abc,cd,be->ade": [(2, 3, 4), (4, 5), (3, 6)],
        "iij,jk->ik": [(3, 3, 4), (4, 2)],
        "b...c,cd->b...d": [(2, 3, 4, 5), (5, 6)],
    }
    for i, (equation, operands) in enumerate(shapes.items()):
        inputs = [numbers(*shape, seed=k) for k, shape in enumerate(operands)]
        yield case(f"einsum_{i}", "Einsum", inputs, equation=equation)


def fourier_cases():
    for length, onesided, inverse in itertools.product([8, 7, 15], [0, 1], [0, 1]):
        if onesided and inverse:
            continue
        x = numbers(2, length, 3, 1 if onesided else 2)
        yield case(f"dft_{length}_{onesided}_{inverse}", "DFT", [x], opset=17, axis=1, onesided=onesided, inverse=inverse)
    signal = numbers(2, 50, 1)
    for onesided in [0, 1]:
        inputs = [signal, np.array(7), numbers(16, seed=2), np.array(16)]
        yield case(f"stft_{onesided}", "STFT", inputs, opset=17, onesided=onesided)


def selection_cases():
    boxes = np.concatenate([numbers(2, 20, 2, low=0, high=0.5), numbers(2, 20, 2, seed=2, low=0.4, high=1)], 2)
    scores = numbers(2, 3, 20, seed=3, low=0)
    limits = [np.array([5]), np.array([0.4], np.float32), np.array([0.2], np.float32)]
    for center in [0, 1]:
        yield case(f"nms_{center}", "NonMaxSuppression", [boxes, scores, *limits], center_point_box=center)
    yield case("nms_without_limits", "NonMaxSuppression", [boxes, scores])
    few = codes(4, 5, dtype=np.int8).astype(np.int64) % 3
    for axis in [0, 1, -1]:
        yield case(f"unique_{axis}", "Unique", [few], outputs=4, axis=axis)
    yield case("unique_unsorted", "Unique", [few], outputs=4, sorted=0)
    yield case("unique_strings", "Unique", [np.array(["b", "a", "b", "c"], object)], outputs=4)
    yield case("compress_1", "Compress", [numbers(3, 4, 2), np.array([True, False, True, True])], axis=1)
    lengths = np.array([4, 2, 1])
    yield case("reverse_time", "ReverseSequence", [numbers(4, 3, 2), lengths], time_axis=0, batch_axis=1)
    yield case("reverse_batch", "ReverseSequence", [numbers(3, 4), lengths], time_axis=1, batch_axis=0)
    yield case("det", "Det", [numbers(3, 2, 5, 5)])


def window_cases():
    sizes = [np.array([6, 7]), np.array([2, 3])]
    yield case("col2im", "Col2Im", [numbers(2, 18, 25), *sizes])
    yield case("col2im_strides", "Col2Im", [numbers(1, 12, 15), *sizes], strides=[2, 1])
    x = numbers(2, 4, 6, 7)
    deformed = [x, numbers(6, 2, 3, 2, seed=2), numbers(2, 2 * 6 * 2, 5, 7, seed=3, low=-2, high=2), numbers(6, seed=4)]
    deformed.append(numbers(2, 2 * 6, 5, 7, seed=5))
    yield case("deform_conv", "DeformConv", deformed, opset=19, group=2, offset_group=2, pads=[1, 1, 0, 0])


def text_cases():
    words = np.array(["Monday", "tuesday", "Wednesday"], object)
    for action, sensitive in itertools.product(["LOWER", "UPPER", "NONE"], [0, 1]):
        yield case(f"normalizer_{action}_{sensitive}", "StringNormalizer", [words], opset=10, case_change_action=action, locale="C",
                   is_case_sensitive=sensitive, stopwords=["monday", "Wednesday"])
    grams = {"ngram_counts": [0, 2], "ngram_indexes": [2, 0, 1], "pool_strings": ["a", "b", "a", "b"]}
    text = np.array([["a", "b", "c", "a", "b", "b"]], object)
    for mode, skip in itertools.product(["TF", "IDF", "TFIDF"], [0, 2]):
        attributes = {"mode": mode, "max_skip_count": skip, "min_gram_length": 1, "max_gram_length": 2, **grams}
        yield case(f"tfidf_{mode}_{skip}", "TfIdfVectorizer", [text], opset=9, weights=[0.5, 2.0, 3.0], **attributes)


def ml_case(name, op, inputs, opset=3, **attributes):
    return case(name, op, inputs, domain="ai.onnx.ml", opset=opset, **attributes)


def encoder_cases():
    words = np.array([["b", "x"], ["a", "c"]], object)
    yield ml_case("label_floats", "LabelEncoder", [words], keys_strings=["a", "b"], values_floats=[1.5, 2.5])
    nan = np.array([1, np.nan, 7], np.float32)
    yield ml_case("label_nan", "LabelEncoder", [nan], opset=4, keys_floats=[1.0, np.nan], values_strings=["one", "nan"])
    yield ml_case("label_1", "LabelEncoder", [words], opset=1, classes_strings=["a", "b", "c"])
    yield ml_case("mapper", "CategoryMapper", [words], opset=1, cats_strings=["a", "b"], cats_int64s=[5, 6])
    yield ml_case("mapper_back", "CategoryMapper", [np.array([6, 9])], opset=1, cats_strings=["a", "b"],
                  cats_int64s=[5, 6])
    yield ml_case("one_hot", "OneHotEncoder", [np.array([[3, 1, 8]])], opset=1, cats_int64s=[1, 2, 3])
    yield ml_case("one_hot_words", "OneHotEncoder", [words], opset=1, cats_strings=["b", "c"])
    x = numbers(3, 4)
    yield ml_case("extract", "ArrayFeatureExtractor", [x, np.array([[2, 0, 2]])], opset=1)
    yield ml_case("extract_row", "ArrayFeatureExtractor", [x[0], np.array([1])], opset=1)
    yield ml_case("binarize", "Binarizer", [x], opset=1, threshold=0.1)
    for norm in ["MAX", "L1", "L2"]:
        yield ml_case(f"norm_{norm}", "Normalizer", [np.abs(x)], opset=1, norm=norm)
    yield ml_case("scale", "Scaler", [x], opset=1, offset=[0.5, 0.0, 1.0, -1.0], scale=[1.0, 2.0, 3.0, 4.0])
    yield ml_case("scale_integers", "Scaler", [np.array([[1, 2]])], opset=1, offset=[0.5], scale=[2.0])
    holes = np.array([[1, np.nan], [np.nan, 4]], np.float32)
    yield ml_case("impute", "Imputer", [holes], opset=1, imputed_value_floats=[9.0, 8.0], replaced_value_float=np.nan)
    whole = np.array([[1, 0], [0, 4]])
    yield ml_case("impute_integers", "Imputer", [whole], opset=1, imputed_value_int64s=[7], replaced_value_int64=0)
    yield ml_case("vectorize", "FeatureVectorizer", [x, numbers(3, 2, seed=2)], opset=1, inputdimensions=[4, 2])


TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def linear_cases():
    x = numbers(5, 3)
    for transform in TRANSFORMS[:4]:
        three = {"coefficients": list(numbers(9, seed=2)), "intercepts": [0.1, -0.2, 0.0], "post_transform": transform}
        yield ml_case(f"linear_3_{transform}", "LinearClassifier", [x], opset=1, outputs=2, classlabels_ints=[4, 5, 6],
                      **three)
        two = {"coefficients": [0.3, -0.5, 0.2], "intercepts": [0.1], "post_transform": transform}
        yield ml_case(f"linear_2_{transform}", "LinearClassifier", [x], opset=1, outputs=2,
                      classlabels_strings=["no", "yes"], **two)
    yield ml_case("regress", "LinearRegressor", [x], opset=1, coefficients=list(numbers(6, seed=3)),
                  intercepts=[1.0, 2.0], targets=2)
    for kernel, transform in itertools.product(["LINEAR", "POLY", "RBF", "SIGMOID"], TRANSFORMS[:3]):
        common = {"kernel_type": kernel, "kernel_params": [0.7, 0.3, 3.0], "post_transform": transform}
        for classes, proba, low in itertools.product([2, 3], [False, True], [-1.0, 0.0]):
            pairs = classes * (classes - 1) // 2
            attributes = {"vectors_per_class": [2, 1, 2][:classes], "rho": list(numbers(pairs, seed=6))}
            supports = sum(attributes["vectors_per_class"])
            attributes["support_vectors"] = list(numbers(supports * 3, seed=4))
            attributes["coefficients"] = list(numbers((classes - 1) * supports, seed=5, low=low))
            if proba:
                attributes |= {"prob_a": list(numbers(pairs, seed=7) - 1), "prob_b": list(numbers(pairs, seed=8))}
            yield ml_case(f"svm_{kernel}_{transform}_{classes}_{int(proba)}_{low}", "SVMClassifier", [x], opset=1, outputs=2,
                          classlabels_ints=[3, 7, 9][:classes], **common, **attributes)
        regressor = {"coefficients": [0.5, -0.7, 0.2, 0.9], "support_vectors": list(numbers(12, seed=4))}
        if transform == "NONE":
            yield ml_case(f"svr_{kernel}", "SVMRegressor", [x], opset=1, n_supports=4, rho=[0.25], **common, **regressor)


def two_trees(prefix, columns, mode, low):
    """Two trees of two inner nodes and three leaves each; every leaf has a weight for each of `columns`."""
    nodes = {"treeids": [], "nodeids": [], "modes": [], "featureids": [], "values": [], "truenodeids": [],
             "falsenodeids": [], "missing_value_tracks_true": []}
    leaves = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    values = iter(numbers(200, seed=9, low=low))
    for tree in [0, 1]:
        rows = [(mode, tree, 1, 2), (mode, 2 - tree, 3, 4)] + [("LEAF", 0, 0, 0)] * 3
        for node, (kind, feature, yes, no) in enumerate(rows):
            entry = [tree, node, kind, feature, float(next(values)) * 0.5, yes, no, tree]
            for key, value in zip(nodes, entry):
                nodes[key].append(value)
            for column in columns if kind == "LEAF" else []:
                for key, value in zip(leaves, [tree, node, column, float(next(values))]):
                    leaves[key].append(value)
    return {f"nodes_{k}": v for k, v in nodes.items()} | {f"{prefix}_{k}": v for k, v in leaves.items()}


def tree_cases():
    x = numbers(40, 3)
    x[3, 1] = np.nan
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_NEQ"]:
        yield ml_case(f"tree_{mode}", "TreeEnsembleRegressor", [x], n_targets=2,
                      **two_trees("target", [0, 1], mode, -1.0))
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        yield ml_case(f"tree_{aggregate}", "TreeEnsembleRegressor", [x], n_targets=2, aggregate_function=aggregate,
                      base_values=[0.5, -1.0], **two_trees("target", [0, 1], "BRANCH_LEQ", -1.0))
    for low, transform in itertools.product([-1.0, 0.0], TRANSFORMS[:4]):
        attributes = {"post_transform": transform, "classlabels_int64s": [10, 20]}
        yield ml_case(f"forest_1_{low}_{transform}", "TreeEnsembleClassifier", [x], outputs=2, **attributes,
                      **two_trees("class", [1], "BRANCH_LEQ", low))
        yield ml_case(f"forest_0_{low}_{transform}", "TreeEnsembleClassifier", [x], outputs=2, **attributes,
                      **two_trees("class", [0], "BRANCH_LEQ", low))
        attributes["classlabels_int64s"] = [10, 20, 30]
        yield ml_case(f"forest_3_{low}_{transform}", "TreeEnsembleClassifier", [x], outputs=2, **attributes,
                      **two_trees("class", [0, 1, 2], "BRANCH_LEQ", low))
    yield ml_case("forest_base", "TreeEnsembleClassifier", [x], outputs=2, classlabels_strings=["a", "b", "c"],
                  base_values=[0.1, 0.2, 0.3], **two_trees("class", [0, 1, 2], "BRANCH_LEQ", 0.0))


def ms_case(name, op, inputs, **attributes):
    return case(name, op, inputs, domain="com.microsoft", **attributes)


def scale(value):
    return np.array(value, np.float32)


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
        yield ms_case(f"qpool_{kind}", "QLinearAveragePool", [*one[:3], scale(0.0091), zero[1]], kernel_shape=[2, 2], pads=[1, 0, 0, 1])
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
    for bits, zeros in itertools.product([4, 8], [False, True]):
        blocks = 3
        packed = codes(5, blocks, 16 * bits // 8)
        inputs = [numbers(2, 3, 40), packed, numbers(5 * blocks, low=0.01, high=0.1)]
        inputs += [codes(5 * ((blocks * bits + 7) // 8), seed=4)] if zeros else []
        yield ms_case(f"nbits_{bits}_{int(zeros)}", "MatMulNBits", inputs, constants=(1, 2, 3), K=40, N=5, bits=bits, block_size=16)


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


def all_cases():
    makers = [grid_sample_cases, roi_align_cases, einsum_cases, fourier_cases, selection_cases, window_cases]
    makers += [text_cases, encoder_cases, linear_cases, tree_cases]
    makers += [quantized_cases, fused_cases, attention_cases]
    return [made for maker in makers for made in maker()]
