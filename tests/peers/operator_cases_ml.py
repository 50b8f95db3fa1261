"""Cases of the domain ai.onnx.ml."""

import itertools

import numpy as np

from operator_case import case, numbers


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
    # Equal keys.
    equal = {"cats_strings": ["a", "b", "a", "c"]}
    yield ml_case("label_equal", "LabelEncoder", [words], keys_strings=["a", "a", "b"], values_int64s=[1, 2, 3])
    yield ml_case("label_1_equal", "LabelEncoder", [words], opset=1, classes_strings=["a", "b", "a", "c"])
    yield ml_case("mapper_equal", "CategoryMapper", [words], opset=1, cats_int64s=[5, 6, 7, 8], **equal)
    yield ml_case("one_hot_equal", "OneHotEncoder", [words], opset=1, **equal)
    yield ml_case("one_hot_equal_numbers", "OneHotEncoder", [np.array([3, 1])], opset=1, cats_int64s=[3, 3, 1])
    x = numbers(3, 4)
    yield ml_case("extract", "ArrayFeatureExtractor", [x, np.array([[2, 0, 2]])], opset=1)
    yield ml_case("extract_row", "ArrayFeatureExtractor", [x[0], np.array([1])], opset=1)
    yield ml_case("binarize", "Binarizer", [x], opset=1, threshold=0.1)
    rows = np.concatenate([x, [[0, 0, 0, 0], [-1, -2, -4, -3], [-0.5, 0, -1, -1]]]).astype(np.float32)
    for norm, kind in itertools.product(["MAX", "L1", "L2"], [np.float32, np.float64, np.int32, np.int64]):
        values = (rows * 8).astype(kind)
        yield ml_case(f"norm_{norm}_{kind.__name__}", "Normalizer", [values], opset=1, norm=norm)
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
    # Scores that are probabilities, in rows of their own: of one score for two classes onnxruntime writes one probit.
    for labels in [[4, 6], [4, 5, 6]]:
        rows = len(labels)
        yield ml_case(f"linear_probit_{rows}", "LinearClassifier", [np.abs(x)], opset=1, outputs=2,
                      classlabels_ints=labels, coefficients=list(numbers(3 * rows, seed=2, low=0, high=0.3)),
                      intercepts=[0.1] * rows, post_transform="PROBIT")
    yield ml_case("regress_probit", "LinearRegressor", [x], opset=1, coefficients=list(numbers(6, seed=2, low=0, high=0.3)),
                  intercepts=[0.5, 0.4], targets=2, post_transform="PROBIT")
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
            yield ml_case(f"svm_{kernel}_{transform}_{classes}_{int(proba)}_{low}", "SVMClassifier", [x], opset=1,
                          outputs=2,
                          classlabels_ints=[3, 7, 9][:classes], **common, **attributes)
        regressor = {"coefficients": [0.5, -0.7, 0.2, 0.9], "support_vectors": list(numbers(12, seed=4))}
        if transform == "NONE":
            yield ml_case(f"svr_{kernel}", "SVMRegressor", [x], opset=1, n_supports=4, rho=[0.25], **common,
                          **regressor)


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
    for low, (at, bases), transform in itertools.product([-1.0, 0.0], enumerate([[], [0.1, 0.25], [0.25]]), TRANSFORMS):
        attributes = {"post_transform": transform} | ({"base_values": bases} if bases else {})
        # Labels 0 and 1: of others onnxruntime still answers 0 and 1.
        yield ml_case(f"forest_2_{low}_{at}_{transform}", "TreeEnsembleClassifier", [x], outputs=2,
                      classlabels_int64s=[0, 1], **attributes, **two_trees("class", [0, 1], "BRANCH_LEQ", low))
    yield ml_case("forest_names", "TreeEnsembleClassifier", [x], outputs=2, classlabels_strings=["a", "b"],
                  **two_trees("class", [0, 1], "BRANCH_LEQ", -1.0))
    yield ml_case("forest_base", "TreeEnsembleClassifier", [x], outputs=2, classlabels_strings=["a", "b", "c"],
                  base_values=[0.1, 0.2, 0.3], **two_trees("class", [0, 1, 2], "BRANCH_LEQ", 0.0))


MAKERS = [encoder_cases, linear_cases, tree_cases]
