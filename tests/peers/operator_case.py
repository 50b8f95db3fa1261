"""A model of one node, and what its inputs are made of."""

import dataclasses

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
