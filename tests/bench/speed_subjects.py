"""What the speed benchmark measures: the real models, the shapes they are run with, and how narrow quantizes them."""

import dataclasses
import os
import pathlib

import models
import narrow_cli
import numpy as np
import onnx

# The encoder comes in a PyPI wheel (see the README of the data); this names the unpacked file.
MINILM_VARIABLE = "NARROW_MINILM"
MINILM = "paraphrase-MiniLM-L3-v2"

TYPES = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.INT64: np.int64,
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model with the sizes of its free dimensions and the data that calibrates it."""

    name: str
    path: pathlib.Path
    batches: tuple = (1, 8)
    sizes: tuple = ()  # of the free dimensions behind the first
    calibration: str | None = None  # data that narrow reads with `config`; None: what models.py says
    config: dict = dataclasses.field(default_factory=dict)
    quantizes: bool = True
    convolutional: bool = True

    def feed(self, batch):
        """Arrays by input name: random numbers, token ids, or what the model's input is."""
        random = np.random.default_rng(0)
        feed = {}
        graph = onnx.load(self.path, load_external_data=False).graph
        constants = {tensor.name for tensor in graph.initializer}
        for given in graph.input:
            if given.name in constants:
                continue
            kind = given.type.tensor_type
            free = iter((batch, *self.sizes))
            shape = [d.dim_value if d.dim_value > 0 else next(free) for d in kind.shape.dim]
            if given.name == "sr":
                feed[given.name] = np.array(16000, np.int64)
            elif given.name == "state":
                feed[given.name] = np.zeros((2, batch, 128), np.float32)
            elif kind.elem_type == onnx.TensorProto.INT64:
                tokens = given.name == "input_ids"
                feed[given.name] = random.integers(1000, 20000, shape) if tokens else np.ones(shape, np.int64)
            else:
                feed[given.name] = random.standard_normal(shape).astype(TYPES[kind.elem_type])
        return feed

    def takes(self, batch):
        """False where the model's own batch is another."""
        return batch in self.batches and next(iter(self.feed(batch).values())).shape[0] == batch

    def quantize(self, root, folder):
        """The model as narrow quantizes it by default."""
        path = folder / f"{self.name}.onnx"
        options = ["--no-speed", "--quiet"]
        if self.calibration is None:
            real = next(m for m in models.MODELS if m.name == self.name)
            samples = models.load_samples(real, root)
            data = folder / "samples.npy"
            np.save(data, samples.values[samples.calibration])
        else:
            data = root / self.calibration
            if self.config:
                options += ["--config", narrow_cli.write_config(folder / "config.json", self.config)]
        narrow_cli.run_narrow("quantize", self.path, "-o", path, "--data", data, *options)
        return path


def subjects(root):
    """All of them; MiniLM only where MINILM_VARIABLE names it."""
    folder = root / "models"
    result = [Subject(m.name, folder / f"{m.name}.onnx", convolutional=m.name != "mlperftiny_ad01") for m in models.MODELS]
    pixels = {"scale": 1 / 255, "layout": "NCHW"}
    imagenet = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    result += [
        Subject(
            "ultraface_RFB-320",
            folder / "ultraface_RFB-320.onnx",
            calibration="faces",
            config={"input": {"resize": 320, "crop": [240, 320], "color": "RGB", "scale": 1 / 128, "mean": [127 / 128], "layout": "NCHW"}},
        ),
        Subject(
            "FastestDet",
            folder / "FastestDet.onnx",
            calibration="coco_like",
            config={"input.1": {"resize": 352, "crop": 352, "color": "BGR", **pixels}},
        ),
        Subject(
            "ch_ppocr_mobile_v2.0_cls_infer",
            folder / "ch_ppocr_mobile_v2.0_cls_infer.onnx",
            sizes=(48, 192),
            calibration="coco_like",
            config={"x": {"resize": 192, "crop": [48, 192], "color": "BGR", "scale": 1 / 127.5, "mean": [1.0], "layout": "NCHW"}},
        ),
        Subject(
            "ch_PP-OCRv4_det_infer",
            folder / "ch_PP-OCRv4_det_infer.onnx",
            sizes=(320, 320),
            calibration="coco_like",
            config={"x": {"resize": 320, "crop": 320, "color": "BGR", **pixels, **imagenet}},
        ),
        Subject("silero_vad", folder / "silero_vad.onnx", batches=(1,), sizes=(576,), quantizes=False, convolutional=False),
    ]
    encoder = os.environ.get(MINILM_VARIABLE)
    if encoder:
        for tokens in (32, 96):
            result.append(
                Subject(f"{MINILM}, {tokens} tokens", pathlib.Path(encoder), sizes=(tokens,), calibration="text/calib", convolutional=False)
            )
    return result
