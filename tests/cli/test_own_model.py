# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of the user's own, with the spec that they were trained on."""

from __future__ import annotations

import copy
import importlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner, Result
from conftest import missing, require_module

from ecgqa_tflite.bundle.export import export_bundle
from ecgqa_tflite.bundle.gate import MEASURED
from ecgqa_tflite.cli import main
from ecgqa_tflite.convert.keras_file import _code_in, load_keras
from ecgqa_tflite.convert.measure import measured
from ecgqa_tflite.convert.own_model import own_model
from ecgqa_tflite.convert.qat import fake_quantised
from ecgqa_tflite.convert.quantisation import Quantisation
from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.model_folder import open_model
from ecgqa_tflite.output import MANIFEST
from ecgqa_tflite.recording.simulator import simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.tflite.flatbuffer import pack, unpack
from ecgqa_tflite.tflite.identity import identity_of, with_identity
from ecgqa_tflite.tflite.read import read_tflite
from ecgqa_tflite.tflite.run import Int8Network

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "spec.json"
    path.write_text(tiny_model.SPEC.to_json())
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        write_wfdb(simulate(30, 250.0, seed=seed, name=f"r{seed}"), folder)
    return folder


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["convert", *(str(a) for a in arguments)])


def refused(done: Result, *words: str) -> None:
    assert done.exit_code == 1, done.output
    assert len(done.output.strip().splitlines()) == 1, done.output
    for word in words:
        assert word in done.output


def test_an_int8_tflite(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "My Net-2.tflite"
    path.write_bytes(tiny_model.tflite())
    done = convert(path, "--spec", spec, "--threshold", 0.75, "-o", tmp_path / "out", "--verify")
    assert done.exit_code == 0, done.output
    opened = open_model(tmp_path / "out")
    assert (opened.name, opened.threshold_int8, opened.architecture) == ("my_net_2", 64, "own")
    gate = json.loads((tmp_path / "out" / MANIFEST).read_text())["gate"]
    assert gate["measured_on"] is None and gate["figures"]["flash_bytes"] > 0


def test_a_sealed_tflite_keeps_its_spec_threshold_and_licence(tmp_path: Path) -> None:
    shipped = open_model("light_cnn_small")
    sealed = tmp_path / "sealed.tflite"
    sealed.write_bytes(with_identity(
        shipped.tflite_path.read_bytes(),
        identity_of(shipped, read_tflite(shipped.tflite_path.read_bytes())),
    ))  # fmt: skip
    spec, other = tmp_path / "spec.json", tmp_path / "other.json"
    spec.write_text(shipped.spec.to_json())
    other.write_text(replace(shipped.spec, scaling="minmax").to_json())
    again, _ = own_model(sealed, spec, tmp_path / "a")
    assert again.threshold_int8 == shipped.threshold_int8 == 27
    assert again.licence == shipped.licence
    assert own_model(sealed, spec, tmp_path / "b", threshold=0.75)[0].threshold_int8 == 64
    refused(convert(sealed, "--spec", other, "-o", tmp_path / "o"), "give the spec.json that")


TRUST = {"h5": (), "keras": (), "saved_model": ("--trust",)}


def with_code(kind: str, marker: Path) -> Any:
    """A network that writes a file when it is loaded or run."""
    from ecgqa_tflite.networks._keras import keras, tf

    class Writes(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            with tf.control_dependencies([tf.io.write_file(str(marker), "was here")]):
                return tf.identity(x)

    name = str(marker)
    layers = {
        "lambda": lambda: keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1]),
        "saved_model": Writes,
        "keras": lambda: keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1]),
        "operation": lambda: lambda x: tf.math.multiply(x, 2.0),
    }
    image = keras.layers.Input(tiny_model.SPEC.image_shape)
    x = keras.layers.Conv2D(4, 3, 4, activation="relu")(layers[kind]()(image))
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Softmax()(x))


@pytest.mark.parametrize("kind", ["lambda", "keras", "operation", "saved_model"])
@pytest.mark.requirement("SEC-1")
def test_a_models_own_code_is_not_run(
    spec: Path, recordings: Path, tmp_path: Path, kind: str
) -> None:
    require_module("tensorflow")
    marker = tmp_path / "marker"
    path = tmp_path / {"saved_model": "m", "keras": "m.keras"}.get(kind, "m.h5")
    with_code(kind, marker).save(str(path))
    marker.unlink(missing_ok=True)
    given = (path, "--spec", spec, "--calibrate", recordings, "-o", tmp_path / "out")
    refused(convert(*given), "--trust")
    assert not marker.exists()
    if kind in ("saved_model", "keras"):  # or the test would prove nothing
        load_keras(path, trust=True)(np.zeros((1, *tiny_model.SPEC.image_shape), np.float32))
        assert marker.exists()


def test_code_in_a_configuration() -> None:
    conv = {"class_name": "Conv2D", "module": "keras.layers", "config": {"activation": "relu"}}
    plain = {"class_name": "Functional", "module": "keras", "config": {"layers": [conv]}}
    assert not list(_code_in(plain))
    for cell in (
        {"class_name": "Lambda"},
        {"class_name": "TFOpLambda"},
        {"class_name": "system", "module": "os"},
        {"class_name": "Mine>Layer"},
        {"class_name": "Layer", "registered_name": "Mine>Layer"},
    ):
        assert list(_code_in({"config": {"layers": [[plain], {"config": cell}]}})), cell


@pytest.mark.parametrize("kind", ["h5", "keras", "saved_model"])
def test_a_keras_model(spec: Path, recordings: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"saved_model": "own"}.get(kind, f"own.{kind}")
    tiny_model.network().save(str(path))
    done = convert(path, "--spec", spec, "--calibrate", recordings, "-o", tmp_path / "out",
                   "--gate", "flipped=0.2", *TRUST[kind])  # fmt: skip
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["gate"]["measured_on"] == "the calibration segments"
    assert len(manifest["calibration"]["ids"]) == 18
    assert manifest["engine"]["workspace_bytes"] < 20_000


def keras_3(head: str, classes: int) -> Any:
    """A small network of Keras 3, the keras of TensorFlow since 2.16."""
    require_module("tensorflow")
    import ecgqa_tflite.networks  # noqa: F401  TensorFlow first

    require_module("keras")
    keras = importlib.import_module("keras")
    if not keras.__version__.startswith("3."):
        missing("Keras 3 is not installed: pip install -e '.[train,dev]'")
    layers = keras.layers
    keras.utils.set_random_seed(5)
    return keras.Sequential([
        keras.Input(tiny_model.SPEC.image_shape),
        layers.Conv2D(8, 5, strides=4),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(classes, activation=head),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "head", "classes", "change"),
    [
        ("keras", "softmax", 2, None),
        ("h5", "sigmoid", 1, "one sigmoid score"),
        ("export", None, 2, "logits"),
    ],
)
def test_what_keras_3_writes(
    spec: Path,
    recordings: Path,
    tmp_path: Path,
    kind: str,
    head: str | None,
    classes: int,
    change: str | None,
) -> None:
    network = keras_3(head, classes)
    path = tmp_path / ("net" if kind == "export" else f"net.{kind}")
    if kind == "export":
        network.export(str(path), verbose=False)
    else:
        network.save(str(path))
    quantisation = Quantisation(calibrate=recordings)
    made, calibration = own_model(
        path, spec, tmp_path / "out", 0.6,  # an untrained network's scores lie about .5
        quantisation=quantisation, trust=kind == "export",
    )  # fmt: skip
    assert calibration is not None and len(calibration.ids) == 18
    assert made.metrics["calibration"]["flipped"] <= 1
    assert made.metrics["calibration"]["layers"]
    assert (change is None) == ("changes" not in made.metrics)
    if change is not None:
        assert change in made.metrics["changes"][0]
    # Another network, or one whose batch normalisation was lost, would decide otherwise.
    images = calibration.images
    floats = np.asarray(network(images / 255.0, training=False), float)
    if head is None:
        floats = 1 / (1 + np.exp(floats[:, :1] - floats[:, 1:]))
    scores = Int8Network(made.tflite_path).scores((images.astype(int) - 128).astype(np.int8))
    p_high = (scores[:, 1].astype(float) + 128) / 256
    assert np.abs(p_high - floats[:, -1]).max() < 0.06


def test_a_network_trained_with_quantisation_brings_its_ranges(spec: Path, tmp_path: Path) -> None:
    require_module("tensorflow")
    require_module("tensorflow_model_optimization")
    network = tiny_model.network()
    twin = fake_quantised(network, tiny_model.images(8))
    assert any(type(x).__name__ == "QuantizeWrapperV2" for x in twin.layers)
    twin.save(str(tmp_path / "qat.h5"))
    made, calibration = own_model(tmp_path / "qat.h5", spec, tmp_path / "out")
    assert calibration is None and made.tflite_path.is_file()
    given = ("--spec", spec, "-o", tmp_path / "b", "--quantize", "none")
    refused(convert(tmp_path / "qat.h5", *given, "--target", "raspberry-pi"), "leave --quantize")


def test_weights_alone_are_said(spec: Path, recordings: Path, tmp_path: Path) -> None:
    network = tiny_model.network()
    for name in ("a.weights.h5", "b.h5"):
        network.save_weights(str(tmp_path / name))
        given = ("--spec", spec, "--calibrate", recordings, "-o", tmp_path / "out")
        refused(convert(tmp_path / name, *given), "holds weights alone", "load_weights")
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    refused(convert(tmp_path / "net.onnx", *given), "an ONNX model")


def test_shapes_are_checked_before_calibration(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that won't fit is refused before a recording is read."""
    from ecgqa_tflite.networks._keras import keras

    def never(*_: object) -> None:
        raise AssertionError("calibrated")

    monkeypatch.setattr(sys.modules[own_model.__module__], "calibration_from_folder", never)
    image = keras.layers.Input(tiny_model.SPEC.image_shape)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 5, strides=5)(image))
    remembers = keras.layers.LSTM(4)(keras.layers.Reshape((113, 113))(image))
    for name, scores, word in (
        ("three", keras.layers.Dense(3, activation="softmax")(x), "to 3 scores"),
        ("relu", keras.layers.Dense(2, activation="relu")(x), "softmax"),
        ("lstm", keras.layers.Dense(2, activation="softmax")(remembers), "keeps state"),
    ):
        keras.Model(image, scores).save(str(tmp_path / f"{name}.h5"))
        given = ("--spec", spec, "--calibrate", tmp_path, "-o", tmp_path / "out")
        refused(convert(tmp_path / f"{name}.h5", *given), f"{name}.h5", word)


def test_no_message_names_a_temporary_file(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.tflite"
    path.write_bytes(float_island())
    done = convert(path, "--spec", spec, "-o", tmp_path / "out")
    refused(done, f"{path}: ")
    assert "/first/" not in done.output


def test_without_network_code_the_screen_says_so(spec: Path, tmp_path: Path) -> None:
    """The engine has no LOGISTIC; --ram has no figure then."""
    model = unpack(tiny_model.tflite())
    code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.LOGISTIC
    model.subgraphs[0].operators[-1].builtinOptionsType = 0
    model.subgraphs[0].operators[-1].builtinOptions = None
    path = tmp_path / "mine.tflite"
    path.write_bytes(pack(model))
    given = (path, "--spec", spec, "-o", tmp_path / "out")
    refused(convert(*given, "--ram", 1000), "--ram", "LOGISTIC", "--target tflm")
    done = convert(*given)
    assert done.exit_code == 0, done.output
    assert "No network code in this bundle: operator" in done.output.replace("\n", " ")


def test_a_keras_file_that_is_not_tf_keras_s(spec: Path, recordings: Path, tmp_path: Path) -> None:
    def told(files: dict[str, str], word: str) -> None:
        path = tmp_path / "own.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        given = (path, "--spec", spec, "--calibrate", recordings, "-o", tmp_path / "out")
        refused(convert(*given), word)

    config = '{"module": "keras.src.models", "class_name": "Functional", "config": {}}'
    told({"config.json": config, "metadata.json": '{"keras_version": "3.8.0"}'}, "can't load it")
    told({"config.json": config, "metadata.json": '{"keras_version": "1.2"}'}, "by Keras 1.2;")
    told({"config.json": config, "metadata.json": "[]"}, "Keras of no version")
    told({"config.json": config}, "can't load it")
    told({}, "can't load it")
    told({"config.json": "[" * 100_000}, "can't load it")
    told({"config.json": '{"class_name": "Lambda"}', "metadata.json": "{}"}, "--trust")
    told({"config.json": " " * ((1 << 26) + 1)}, "longer than")
    (tmp_path / "bad.keras").write_text("nothing")
    given = (tmp_path / "bad.keras", "--spec", spec, "--calibrate", recordings)
    refused(convert(*given, "-o", tmp_path / "out"), "can't load it")


def test_refusals(spec: Path, recordings: Path, tmp_path: Path) -> None:
    out, tflite = tmp_path / "out", tmp_path / "a.tflite"
    tflite.write_bytes(tiny_model.tflite())
    (tmp_path / "bad.h5").write_text("nothing")
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "other.json").write_text(
        tiny_model.SPEC.to_json().replace('"rows": 113', '"rows": 112')
    )
    with_spec = ("--spec", spec, "-o", out)
    refused(convert(tmp_path / "none.tflite", *with_spec), "can't be read")
    refused(convert(tflite, *with_spec, "--calibrate", recordings), "quantised already")
    refused(convert(tflite, "--spec", tmp_path / "bad.json", "-o", out), "bad.json", "spec")
    refused(convert(tflite, "--spec", tmp_path / "other.json", "-o", out), "its spec makes")
    tiny_model.network().save(str(tmp_path / "float.h5"))
    refused(convert(tmp_path / "float.h5", *with_spec), "is not int8", "--calibrate")
    refused(convert(tmp_path / "bad.h5", *with_spec, "--calibrate", recordings), "can't load")
    refused(convert(recordings, *with_spec, "--calibrate", recordings), "is not a .tflite")
    refused(convert(tmp_path / "none.h5", *with_spec, "--calibrate", recordings), "no such file")
    assert convert(tflite, "-o", out, "--threshold", 0.5).exit_code == 2
    refused(convert(tflite, *with_spec, "--validate", recordings), "no labels that are understood")
    assert not out.exists()


# ---- each failure its own message -----------------------------------------------------------


def float_tflite() -> bytes:
    from ecgqa_tflite.quantize.converter import float_tflite

    return bytes(float_tflite(tiny_model.network()))


def open_image() -> bytes:
    """Quantised with its rows left open."""
    model = unpack(tiny_model.tflite())
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([-1, -1, 113, 1], np.int32)
    return pack(model)


def float_island() -> bytes:
    """DEQUANTIZE after the first operator, QUANTIZE before the next."""
    model = unpack(tiny_model.tflite())
    graph = model.subgraphs[0]
    first = graph.operators[0].outputs[0]
    codes = {}
    for name in ("DEQUANTIZE", "RELU", "QUANTIZE"):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        model.operatorCodes.append(code)
        codes[name] = len(model.operatorCodes) - 1
    tensors = []
    for kind in (schema.TensorType.FLOAT32, schema.TensorType.FLOAT32, schema.TensorType.INT8):
        t = copy.copy(graph.tensors[first])
        t.name, t.type = f"island_{len(tensors)}", kind
        graph.tensors.append(t)
        tensors.append(len(graph.tensors) - 1)
    island = []
    for name, x, y in zip(codes, (first, *tensors), tensors, strict=False):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = codes[name], [x], [y]
        island.append(operator)
    after = graph.operators[1]
    after.inputs = [tensors[-1] if i == first else i for i in after.inputs]
    graph.operators[1:1] = island
    return pack(model)


def custom_operator() -> bytes:
    model = unpack(tiny_model.tflite())
    code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Secret"
    model.subgraphs[0].operators[1].builtinOptionsType = 0
    model.subgraphs[0].operators[1].builtinOptions = None
    return pack(model)


def test_each_failure_of_a_file_has_its_own_message(spec: Path, tmp_path: Path) -> None:
    made = {
        "float": (float_tflite(), "float32 (nothing is quantised)", "--calibrate"),
        "image": (open_image(), "size is left open ([-1, -1, 113, 1])"),
        "island": (float_island(), "not full int8", "RELU", "float32"),
        "unsupported": (custom_operator(), "custom"),
        "corrupt": (tiny_model.tflite()[:5000], "damaged"),
        "text": (b"hello", "is not a .tflite"),
        "empty": (b"", "is not a .tflite"),
    }
    said = set()
    for name, (content, *words) in made.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        done = convert(path, "--spec", spec, "-o", tmp_path / "out")
        refused(done, name, *words)
        said.add(done.output.replace(name, "").strip())
    assert len(said) == len(made) - 1  # text and nothing are alike
    assert not (tmp_path / "out").exists()


def test_each_failure_of_a_keras_network_has_its_own_message(
    spec: Path, recordings: Path, tmp_path: Path
) -> None:
    from ecgqa_tflite.networks._keras import keras, tf

    layers = keras.layers

    def saved(name: str, *inside: object, shape: tuple[int | None, ...] = (113, 113, 1)) -> Path:
        x = image = layers.Input(shape=shape)
        for layer in inside:
            x = layer(x)
        x = layers.GlobalAveragePooling2D()(x)
        keras.Model(image, layers.Softmax()(layers.Dense(2)(x))).save(str(tmp_path / name))
        return tmp_path / name

    class Norm(layers.Layer):  # type: ignore[misc]
        def call(self, x: object) -> object:
            return tf.nn.local_response_normalization(x)

    class Odd(layers.Layer):  # type: ignore[misc]
        def call(self, x: object) -> object:
            return tf.raw_ops.Digamma(x=x + 1.0)

    (tmp_path / "flat").mkdir()
    (tmp_path / "nothing").mkdir()
    flat = simulate(30, 250.0, seed=0, name="flat")
    write_wfdb(replace(flat, signal_mv=np.zeros_like(flat.signal_mv)), tmp_path / "flat")
    conv = layers.Conv2D(4, 5, strides=5)
    plain = saved("plain", conv)
    cases = [
        (saved("lrn", layers.Conv2D(8, 5, strides=5), Norm()), recordings, "LOCAL_RESPONSE_NORM"),
        (saved("odd", layers.Conv2D(8, 5, strides=5), Odd()), recordings, "TensorFlow can't make"),
        (saved("open", layers.Conv2D(4, 5), shape=(None, None, 1)), recordings, "fixed size"),
        (plain, tmp_path / "nothing", "holds no WFDB recordings"),
        (plain, tmp_path / "flat", "no recording gives a segment"),
    ]
    for path, folder, word in cases:
        given = ("--spec", spec, "--calibrate", folder, "--trust", "-o", tmp_path / "out")
        refused(convert(path, *given), word)
    assert not (tmp_path / "out").exists()


def test_scores_that_are_no_probabilities_are_refused(
    spec: Path, recordings: Path, labelled: Path, tmp_path: Path
) -> None:
    """Thresholds stand for probabilities in 256 steps: others they would decide wrongly."""
    from ecgqa_tflite.networks._keras import keras
    from ecgqa_tflite.quantize.ptq import quantise_ptq

    layers = keras.layers

    def network(activation: str | None) -> keras.Model:
        image = layers.Input(tiny_model.SPEC.image_shape)
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 5, strides=5)(image))
        return keras.Model(image, layers.Dense(2, activation=activation)(x))

    out, path, tflite = tmp_path / "out", tmp_path / "own.h5", tmp_path / "own.tflite"
    network("relu").save(str(path))
    given = ("--spec", spec, "-o", out)
    refused(convert(path, *given, "--calibrate", recordings), "own.h5", "softmax")
    refused(convert(path, *given, "--quantize", "none", "--target", "raspberry-pi"), "softmax")
    refused(convert(path, *given, "--quantize", "qat", "--data", labelled), "softmax")
    logits = unpack(quantise_ptq(network(None), tiny_model.images(8)))
    logits.subgraphs[0].operators.pop()
    logits.subgraphs[0].operators[-1].builtinOptions.fusedActivationFunction = 1
    logits.subgraphs[0].outputs = list(logits.subgraphs[0].operators[-1].outputs)
    logits.signatureDefs = None
    tflite.write_bytes(pack(logits))
    refused(convert(tflite, *given), "own.tflite", "FULLY_CONNECTED with RELU", "softmax")
    assert not out.exists()
    network("sigmoid").save(str(path))  # probabilities in the same 256 steps
    done = convert(path, *given, "--calibrate", recordings, "--gate", "flipped=off")
    assert done.exit_code == 0, done.output


# ---- the gate, with labels ------------------------------------------------------------------

OFF = [word for name in ("bacc-drop", "se-drop", "low-called-high", "flipped", "ties")
       for word in ("--gate", f"{name}=off")]  # fmt: skip
LIMITED = ("bacc_drop", "se_drop", "low_called_high", "flipped")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a user's, labelled by lead; what the labels say is of no matter."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = ["record,lead,quality"]
    for seed in range(4):
        recording = simulate(30, 500.0, seed=seed, name=f"v{seed}")
        write_wfdb(recording, folder)
        quality = "bad" if seed % 2 else "good"
        rows += [f"v{seed},{lead},{quality}" for lead in recording.lead_names]
    (folder / "LEADS.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("kind", ["h5", "saved_model"])
def test_a_keras_model_on_labelled_recordings(
    spec: Path, recordings: Path, labelled: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ("own.h5" if kind == "h5" else "own")
    tiny_model.network().save(str(path))
    given = (path, "--spec", spec, "--calibrate", recordings, "--validate", labelled)
    done = convert(*given, "-o", tmp_path / "out", *OFF, *TRUST[kind])
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    figures = manifest["gate"]["figures"]
    assert manifest["gate"]["measured_on"] == labelled.name
    assert all(figures[name] is not None for name in (*LIMITED, "ties"))
    flips = manifest["metrics"]["gate"]["flips"]
    assert len(flips["segments"]) == min(flips["flipped"], 12)
    # Another network under the same name: its float form decides differently, and it is refused.
    # The limits are such that nothing else refuses it.
    network = tiny_model.network()
    last = network.layers[-1] if network.layers[-1].weights else network.layers[-2]
    before = last.get_weights()
    try:
        last.set_weights([array[..., ::-1] for array in before])
        tflite = tmp_path / "own.tflite"
        tflite.write_bytes((tmp_path / "out" / "own.tflite").read_bytes())
        if kind == "h5":
            network.save(str(path))
            model, _ = own_model(tflite, spec, tmp_path / "folder")
            found = measured(model, labelled, MEASURED, own=path).metrics[MEASURED]
            assert found["flips"]["share"] > 0.5
            with pytest.raises(ConversionError, match="decisions that differ"):
                export_bundle(replace(model, metrics={MEASURED: found}), tmp_path / "other")
            assert not (tmp_path / "other").exists()
    finally:
        last.set_weights(before)


def test_an_int8_tflite_on_labelled_recordings(spec: Path, labelled: Path, tmp_path: Path) -> None:
    """It has no float form: int8's own figures are measured, what it lost is not."""
    path = tmp_path / "own.tflite"
    path.write_bytes(tiny_model.tflite())
    done = convert(path, "--spec", spec, "--validate", labelled, "-o", tmp_path / "out", *OFF)
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    figures = manifest["gate"]["figures"]
    assert figures["ties"] is not None and not any(figures[name] for name in LIMITED)
    assert manifest["metrics"]["gate"]["bacc"]["value"] is not None
    report = (tmp_path / "out/report.html").read_text()
    assert "not measured" in report and f"{labelled.name} (for the gate)" in report
