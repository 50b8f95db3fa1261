"""Every real model: quantized by narrow, then loaded and run by onnxruntime and OpenVINO, and compared with its float.

NARROW_MINILM: path of paraphrase-MiniLM-L3-v2.onnx, which does not come with the other models.
"""

import json
import os
import pathlib
import tempfile
import unittest
import wave

import metrics
import models
import narrow_cli
import numpy as np
import openvino
import peers
from PIL import Image, ImageDraw

SAMPLES = 8
WINDOWS = 32  # of speech: enough for recovery to begin, and to hold some apart
# Of the outputs, over the samples that calibrate, in dB: far below what each model reaches, far above a broken one.
MIN_SQNR = {"silero_vad": 5, "text": 8, "ch_PP-OCRv4_det_infer": 8, "mobilenet_v1_0.25_224-keras": 5}
MIN_SQNR_OTHERS = 12


def images(root, model, folder, height, width, normalize):
    files = sorted((root / folder).rglob("*.jpg"))[:SAMPLES]
    pixels = [np.asarray(Image.open(file).convert("RGB").resize((width, height)), np.float32) for file in files]
    return {model: normalize(np.stack(pixels)).transpose(0, 3, 1, 2).astype(np.float32)}


def texts(model, height, width, normalize):
    """Words in several sizes and places, for what reads text."""
    pixels = []
    for i in range(SAMPLES):
        image = Image.new("RGB", (width, height), (250 - 8 * i, 240, 230 + 3 * i))
        draw = ImageDraw.Draw(image)
        for row in range(max(1, height // 60)):
            draw.text((6 + 5 * i, 6 + 56 * row), f"sample {i} {row}", fill=(10 * i, 20, 40), font_size=18 + 3 * i)
        pixels.append(np.asarray(image, np.float32))
    return {model: normalize(np.stack(pixels)).transpose(0, 3, 1, 2).astype(np.float32)}


def speech_windows(root):
    """64 samples of context and 512 of now, one after the other."""
    with wave.open(str(root / "audio" / "speech_16k.wav")) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    starts = range(20000, 20000 + 512 * WINDOWS, 512)
    return {
        "input": np.stack([sound[start - 64 : start + 512] for start in starts]),
        "sr": np.full(WINDOWS, 16000, np.int64),
    }


def imagenet_bgr(pixels):
    return (pixels[..., ::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


OTHERS = {
    "ultraface_RFB-320": lambda root: images(root, "input", "faces", 240, 320, lambda p: (p - 127) / 128),
    "FastestDet": lambda root: images(root, "input.1", "coco_like", 352, 352, lambda p: p[..., ::-1] / 255),
    "ch_ppocr_mobile_v2.0_cls_infer": lambda _: texts("x", 48, 192, lambda p: p / 127.5 - 1),
    "ch_PP-OCRv4_det_infer": lambda _: texts("x", 160, 256, imagenet_bgr),
    "silero_vad": speech_windows,
}
CONFIGS = {"silero_vad": {"inputs": {"state": {"from_output": "stateN"}}}}


def arrays_of(name, root):
    """By input: [samples, ...]."""
    if name in OTHERS:
        return OTHERS[name](root)
    model = next(model for model in models.MODELS if model.name == name)
    samples = models.load_samples(model, root)
    return {model.input: samples.values[models.spread(len(samples.values), SAMPLES)]}


def onnxruntime_runner(path):
    session = peers.make_session(path)
    return [value.name for value in session.get_outputs()], lambda feed: session.run(None, feed)


def openvino_runner(path):
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return None, lambda feed: [np.array(value) for value in compiled(feed).values()]


def openvino_reads(path):
    """Its ONNX frontend does not know the types of what nested If nodes make."""
    try:
        openvino.Core().read_model(str(path))
    except RuntimeError:
        return False
    return True


def run_all(runner, feeds, state):
    """Outputs by sample; `state` (input, output, first value) goes from each to the next."""
    names, run = runner
    results = []
    for feed in feeds:
        if state:
            feed = feed | {state[0]: state[2]}
        results.append([np.asarray(value) for value in run(feed)])
        if state:
            state = (*state[:2], results[-1][state[1]])
    return results


def sqnr(results, reference):
    """Of the worst output of floats."""
    worst = float("inf")
    for i, first in enumerate(reference[0]):
        if first.dtype != np.float32 or any(a[i].shape != b[i].shape for a, b in zip(results, reference)):
            continue
        joined = lambda runs: np.concatenate([run[i].ravel() for run in runs])
        worst = min(worst, metrics.sqnr_db(joined(results), joined(reference)))
    return worst


@unittest.skipIf(models.find_data() is None, "no real models: NARROW_DATA names no folder with models/")
class AllModelsTest(unittest.TestCase):
    def check(self, path, feeds, name, state=None):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            data = folder / "data"
            data.mkdir()
            for i, feed in enumerate(feeds):
                np.savez(data / f"{i:03}.npz", **feed)
            config = folder / "config.json"
            config.write_text(json.dumps(CONFIGS.get(name, {})), encoding="utf-8")
            output = folder / "quantized.onnx"
            report = json.loads(narrow_cli.run_narrow("quantize", path, "-o", output, "--data", data, "--config", config,
                                                      "--eval", data, "--no-speed", "--format", "json", "--quiet"))
            quantized = [layer for layer in report["plan"]["layers"] if layer["decision"] == "quantize"]
            self.assertTrue(quantized, "nothing was quantized")
            self.assertTrue(all("reason" in layer for layer in report["plan"]["layers"] if layer["decision"] == "float32"))
            reference = run_all(onnxruntime_runner(path), feeds, state)
            limit = MIN_SQNR.get(name, MIN_SQNR_OTHERS)
            ours = min(output["sqnr_db"] for output in report["validation"]["outputs"] if output["sqnr_db"] not in (None, "inf"))
            shown = [f"{len(quantized)} layers, narrow {ours:.1f}"]
            for peer, runner in (("onnxruntime", onnxruntime_runner), ("OpenVINO", openvino_runner)):
                if peer == "OpenVINO" and not openvino_reads(path):
                    shown.append("OpenVINO does not read the float model")
                    continue
                reached = sqnr(run_all(runner(output), feeds, state), reference)
                shown.append(f"{peer} {reached:.1f}")
                self.assertGreater(reached, limit, ", ".join(shown))
            print(f"[{', '.join(shown)} dB] ", end="", flush=True)
            self.assertGreater(ours, limit)

    def check_named(self, name):
        root = models.find_data()
        arrays = arrays_of(name, root)
        count = len(next(iter(arrays.values())))
        scalar = {"sr"}
        feeds = [{key: np.array(value[i]) if key in scalar else value[i : i + 1] for key, value in arrays.items()} for i in range(count)]
        state = ("state", 1, np.zeros((2, 1, 128), np.float32)) if name == "silero_vad" else None
        self.check(root / "models" / f"{name}.onnx", feeds, name, state)

    @unittest.skipIf("NARROW_MINILM" not in os.environ, "NARROW_MINILM names no model")
    def test_minilm(self):
        files = sorted((models.find_data() / "text" / "calib").glob("*.npz"))[:SAMPLES]
        feeds = []
        for file in files:
            with np.load(file) as arrays:
                feeds.append({name: arrays[name] for name in arrays.files})
        self.check(pathlib.Path(os.environ["NARROW_MINILM"]), feeds, "text")


def add_test(name):
    setattr(AllModelsTest, "test_" + "".join(letter if letter.isalnum() else "_" for letter in name),
            lambda self: self.check_named(name))


for model_name in [model.name for model in models.MODELS] + list(OTHERS):
    add_test(model_name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
