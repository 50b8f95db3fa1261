"""Measures of how far a quantized model is from its float one. Outputs are float arrays [samples, ...]."""

import numpy as np


def top1(outputs, labels):
    """Share of samples whose largest output is the label's, in percent."""
    return 100.0 * float(np.mean(classes(outputs) == labels))


def agreement(outputs, reference):
    """Share of samples whose largest output is the reference's, in percent."""
    return 100.0 * float(np.mean(classes(outputs) == classes(reference)))


def sqnr_db(outputs, reference):
    """10 log10(sum x^2 / sum (x - x')^2) over all samples and elements; x is the reference."""
    reference = reference.astype(np.float64)
    noise = float(np.sum((reference - outputs) ** 2))
    return 10 * np.log10(float(np.sum(reference**2)) / noise) if noise else float("inf")


def classes(outputs):
    return outputs.reshape(len(outputs), -1).argmax(axis=1)
