"""Cases whose results onnxruntime knows: operators and forms that ONNX's own node tests leave out."""

import itertools

import numpy as np

import operator_cases_ml
import operator_cases_ms
from operator_case import case, codes, numbers


def grid_sample_cases():
    modes = {16: ["bilinear", "nearest", "bicubic"], 20: ["linear", "nearest", "cubic"]}
    for opset, corners, padding in itertools.product(modes, [0, 1], ["zeros", "border", "reflection"]):
        for mode in modes[opset]:
            inputs = [numbers(2, 3, 5, 4), numbers(2, 6, 7, 2, seed=2, low=-1.6, high=1.6)]
            attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
            yield case(f"grid_sample_{opset}_{mode}_{padding}_{corners}", "GridSample", inputs, opset=opset,
                       **attributes)
            if opset == 20 and mode != "cubic":
                volume = [numbers(1, 2, 3, 4, 5), numbers(1, 2, 3, 4, 3, seed=2, low=-1.6, high=1.6)]
                yield case(f"grid_sample_3d_{mode}_{padding}_{corners}", "GridSample", volume, opset=opset,
                           **attributes)


def roi_align_cases():
    rois = np.array([[0, 0, 5, 5], [1.5, 2, 9, 8.5], [3, 3, 3.1, 3.2], [-2, -2, 12, 12]], np.float32)
    inputs = [numbers(2, 3, 10, 9), rois, np.array([0, 1, 0, 1])]
    for opset, mode, samples in itertools.product([10, 16], ["avg", "max"], [0, 2]):
        attributes = {"output_height": 3, "output_width": 2, "sampling_ratio": samples, "spatial_scale": 0.75}
        yield case(f"roi_align_{opset}_{mode}_{samples}", "RoiAlign", inputs, opset=opset, mode=mode, **attributes)


def region_cases():
    x = numbers(2, 3, 10, 9)
    rois = np.array([[0, 0, 0, 5, 5], [1, 1.5, 2, 9, 8.5], [0, 3, 3, 3.1, 3.2], [1, 4, 4, 30, 30]], np.float32)
    yield case("max_roi_pool", "MaxRoiPool", [x, rois], opset=20, pooled_shape=[3, 2], spatial_scale=0.75)
    yield case("max_roi_pool_half", "MaxRoiPool", [x, np.array([[0, 5, 5, 9, 15]], np.float32)], opset=20,
               pooled_shape=[3, 2], spatial_scale=0.7)


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
        yield case(f"dft_{length}_{onesided}_{inverse}", "DFT", [x], opset=17, axis=1, onesided=onesided,
                   inverse=inverse)
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
        yield case(f"normalizer_{action}_{sensitive}", "StringNormalizer", [words], opset=10,
                   case_change_action=action, locale="C",
                   is_case_sensitive=sensitive, stopwords=["monday", "Wednesday"])
    grams = {"ngram_counts": [0, 2], "ngram_indexes": [2, 0, 1], "pool_strings": ["a", "b", "a", "b"]}
    text = np.array([["a", "b", "c", "a", "b", "b"]], object)
    for mode, skip in itertools.product(["TF", "IDF", "TFIDF"], [0, 2]):
        attributes = {"mode": mode, "max_skip_count": skip, "min_gram_length": 1, "max_gram_length": 2, **grams}
        yield case(f"tfidf_{mode}_{skip}", "TfIdfVectorizer", [text], opset=9, weights=[0.5, 2.0, 3.0], **attributes)


def old_cases():
    """Operators of old opsets, which meant something else then."""
    for opset in [7, 10, 12]:
        yield case(f"dropout_{opset}", "Dropout", [numbers(3, 4)], opset=opset, outputs=2)
    for groups in [1, 2, 6]:
        inputs = [numbers(2, 6, 4, 3), numbers(groups, seed=2), numbers(groups, seed=3)]
        yield case(f"group_normalization_18_{groups}", "GroupNormalization", inputs, opset=18, num_groups=groups)
    for mode, scales in itertools.product(["nearest", "linear"], [[0.5, 2], [2, 0.3], [0.6, 0.7], [1.5, 2.4]]):
        given = np.array([1, 1, *scales], np.float32)
        yield case(f"resize_10_{mode}_{scales}", "Resize", [numbers(2, 3, 5, 7), given], opset=10, mode=mode)


def all_cases():
    makers = [grid_sample_cases, roi_align_cases, region_cases, einsum_cases, fourier_cases, selection_cases]
    makers += [window_cases, text_cases, old_cases, *operator_cases_ml.MAKERS, *operator_cases_ms.MAKERS]
    return [made for maker in makers for made in maker()]
