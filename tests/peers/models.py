"""The real models that narrow is compared on, with their data and preprocessing.

The files are not part of this project; NARROW_DATA names the folder that holds them (see find_data).
"""

import csv
import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALIBRATION_SAMPLES = 100


def find_data():
    """The folder with models and data, or None."""
    folder = pathlib.Path(os.environ.get("NARROW_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "models").is_dir() else None


@dataclasses.dataclass(frozen=True)
class RealModel:
    """value = (pixel / divisor - mean[c]) / std[c] after resizing the shorter side and cropping the centre."""

    name: str
    input: str
    data: str  # a loader below
    resize: int | None = None
    crop: int | None = None
    color: str = ""
    divisor: float = 1.0
    mean: tuple = ()
    std: tuple = ()
    classifies: bool = True

    def input_config(self):
        """narrow's config of this model's input; {} when the values go in as they are."""
        options = {"scale": 1 / self.divisor, "layout": "NCHW"} if self.is_image() else {}
        for key in ("resize", "crop", "color"):
            if getattr(self, key):
                options[key] = getattr(self, key)
        for key in ("mean", "std"):
            if getattr(self, key):
                options[key] = list(getattr(self, key))
        return {self.input: options} if options else {}

    def is_image(self):
        return self.data not in ("kws", "log_mel")


@dataclasses.dataclass
class Samples:
    """Everything in memory: `values` is what the model takes; `source` is what narrow reads, values or image files."""

    values: np.ndarray
    labels: np.ndarray | None
    source: pathlib.Path | np.ndarray
    calibration: np.ndarray  # indices
    evaluation: np.ndarray  # indices


CIFAR = {"color": "RGB", "divisor": 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIGNED = {"color": "RGB", "divisor": 127.5, "mean": (1.0,), "std": (1.0,)}
IMAGENET = {"data": "imagenet", "resize": 256, "crop": 224}

MODELS = [
    RealModel("squeezenet-winml-fp16to32", "data_0", color="BGR", mean=(104.0, 117.0, 123.0), **IMAGENET),
    RealModel("mobilenet_v1_0.25_224-keras", "data", **IMAGENET, **SIGNED),
    RealModel("cifar10-resnet20", "data", "cifar10", **CIFAR),
    RealModel("cifar10-resnet20-bn", "data", "cifar10", **CIFAR),
    RealModel("cifar10-resnet56", "data", "cifar10", **CIFAR),
    RealModel("mlperftiny_resnet8", "data", "cifar10", color="RGB"),
    RealModel("winml_cifar_ImageClassifier", "modelInput", "cifar10", **SIGNED),
    RealModel("mnist-8-cntk", "Input3", "mnist"),
    RealModel("mlperftiny_kws_dscnn", "data", "kws"),
    RealModel("mlperftiny_vww96", "data", "faces", resize=96, crop=96, color="RGB", divisor=255),
    RealModel("mlperftiny_ad01", "data", "log_mel", classifies=False),
    RealModel("stm_mobilenet_v2_0.35_128_tfs", "input_1", "flowers", **SIGNED),
]


def spread(total, count):
    return np.round(np.linspace(0, total - 1, min(count, total))).astype(int)


def resize_and_crop(path, resize, crop):
    """RGB uint8 [crop, crop, 3]: shorter side to `resize` (bilinear, antialiased), then the centre."""
    image = Image.open(path).convert("RGB")
    factor = resize / min(image.size)
    width, height = (max(resize, round(side * factor)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - crop) // 2, (height - crop) // 2
    return np.asarray(image)[top : top + crop, left : left + crop]


def to_model_values(model, pixels):
    """uint8 NHWC -> float32 NCHW."""
    values = pixels.astype(np.float32)
    if model.color == "BGR":
        values = values[..., ::-1]
    values = values / np.float32(model.divisor)
    values = (values - np.float32(model.mean or (0,))) / np.float32(model.std or (1,))
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


def log_mel(wave, rate=16000, window=1024, step=512, mels=128, frames=5):
    """Log-mel energies in dB, `frames` neighbours in a row, as MLPerf Tiny's anomaly detection makes them: [n, 640]."""
    starts = range(0, len(wave) - window, step)
    power = np.stack([np.abs(np.fft.rfft(wave[s : s + window] * np.hanning(window))) ** 2 for s in starts])
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), mels + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, power.shape[1])
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    energies = 10 * np.log10(power @ np.maximum(0, np.minimum(rise, fall)).T + 1e-10)
    return np.stack([energies[i : i + frames].ravel() for i in range(len(energies) - frames + 1)]).astype(np.float32)


def load_wave(path):
    import wave

    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64) / 32768


def load_samples(model, root):
    """Values, labels and narrow's source for one model, split into calibration and the rest."""
    folder = root / model.data
    labels = None
    if model.data in ("imagenet", "faces"):
        source = folder / "images" if model.data == "imagenet" else folder
        files = sorted(source.glob("*.jpg"))
        pixels = np.stack([resize_and_crop(file, model.resize, model.crop) for file in files])
        if model.data == "imagenet":
            with open(folder / "labels.csv", encoding="utf-8") as table:
                by_file = {row["file"]: int(row["label"]) for row in csv.DictReader(table)}
            labels = np.array([by_file[file.name] for file in files])
        values = to_model_values(model, pixels)
    elif model.data == "log_mel":
        source = values = log_mel(load_wave(root / "audio" / "speech_16k.wav"))
    elif model.data == "kws":
        source = values = np.load(folder / "features.npy")[:, None]
        labels = np.load(folder / "labels.npy")
    else:
        source = np.load(folder / "images.npy")
        source = source[..., None] if source.ndim == 3 else source
        labels = np.load(folder / "labels.npy")
        values = to_model_values(model, source)
    count = min(CALIBRATION_SAMPLES, len(values) // 2)
    calibration = spread(len(values), count)
    evaluation = np.setdiff1d(np.arange(len(values)), calibration)
    return Samples(values, labels, source, calibration, evaluation)
