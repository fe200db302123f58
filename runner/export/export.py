"""Write a run into one folder that works without this package: networks, preprocessing, a script, a model card."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from runner.commands import install_command
from runner.data.tabular import read_tabular
from runner.errors import RunnerError, UsageError
from runner.export.card import model_card
from runner.export.images import combine
from runner.export.network import ExportedRun, PlainNetwork
from runner.export.settings import export_settings
from runner.images.readers import layout_of_first, open_images
from runner.prediction.loaded_models import LoadedRun, load_run
from runner.prediction.other_images import read_batches
from runner.session import Session
from runner.training.run import Run
from runner.workspace import write_json, write_text

FORMATS = ("torchscript", "onnx", "timm")
TOLERANCE = 1e-4  # between the exported predictions and the run's own
_CHECKED = 16  # test images that both are compared on
_SCRIPT = '''"""Predict images: python predict.py IMAGE..."""
import sys
from pathlib import Path
{imports}
from images import decide, read_inputs, read_settings
folder = Path(__file__).parent
settings, {load}
for path in sys.argv[1:]:
    inputs = [views[None] for views in read_inputs(settings, path)]{tabular}
    predictions = {predict}
    print(path, *decide(settings, predictions), *predictions[0].round(5))
'''


@dataclass(frozen=True)
class Exported:
    """A folder that was written, and how far its predictions are from the run's own."""

    folder: Path
    format: str
    files: tuple[str, ...]
    difference: float
    images: int  # that both were compared on


def export_run(session: Session, run: Run, folder: Path, format: str = "torchscript") -> Exported:
    """Write the run's networks into a folder; before it has its name, they are compared with the run's predictions."""
    _check_target(folder, format)
    loaded = load_run(session, run)
    networks = [replace(model, networks=tuple((f, n.cpu()) for f, n in model.networks)) for model in loaded.models]
    loaded = replace(loaded, models=tuple(networks), device=torch.device("cpu"), exact=True)
    index = session.index
    layout = layout_of_first(index.data_dir, index.train["path"].tolist())
    settings = export_settings(loaded, layout)
    inputs, tabular = _some_inputs(loaded)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        part = Path(temporary) / folder.name
        part.mkdir()
        predictions = _WRITERS[format](loaded, settings, part, _tensors(inputs, tabular, session))
        expected = loaded.predict(dict(zip([size for size, _ in loaded.inputs], inputs, strict=True)), tabular)
        difference = _difference(predictions, expected.probabilities)
        if not difference <= TOLERANCE:
            raise RunnerError(
                f"the exported networks predict otherwise than {run.name}: by {difference:.2g} at most",
                where=folder,
                fix=f"another --format, of {', '.join(each for each in FORMATS if each != format)}",
            )
        shutil.copyfile(Path(inspect.getfile(export_settings)).with_name("images.py"), part / "images.py")
        write_json(part / "export.json", settings)
        write_text(part / "README.md", model_card(loaded, settings, format, difference, len(expected.probabilities)))
        part.rename(folder)
    files = tuple(sorted(path.name for path in folder.iterdir()))
    return Exported(folder, format, files, difference, len(expected.probabilities))


def _check_target(folder: Path, format: str) -> None:
    """Refuse a folder with something in it, and a format whose packages are not here."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if folder.exists():
        raise UsageError("there is something of this name already", where=folder, fix="name a new folder")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if format == "onnx" and missing:
        raise UsageError(
            f"ONNX needs packages that are not installed: {', '.join(missing)}", fix=install_command("export")
        )


def _some_inputs(loaded: LoadedRun) -> tuple[list[NDArray[Any]], NDArray[np.float32]]:
    """The inputs of some test images; of labelled ones, if there is no test image."""
    index, competition = loaded.session.index, loaded.competition
    subset, table = ("test", index.test) if len(index.test) else ("train", index.train)
    paths = [path if "#" in path else str(index.data_dir / path) for path in table["path"].tolist()[: 4 * _CHECKED]]
    layout = layout_of_first(index.data_dir, index.train["path"].tolist())
    if any("#" in path or " + " in path for path in paths):
        images: list[Any] = [_open(loaded, table["path"].tolist(), row) for row in range(min(_CHECKED, len(table)))]
    else:
        images = list(paths)
    batch = next(iter(read_batches(images, loaded.inputs, competition.preset, layout, 1)))
    rows = list(batch.numbers[:_CHECKED])
    tabular = np.nan_to_num(read_tabular(competition, index, subset)[rows])
    return [batch.images[size][: len(rows)] for size, _ in loaded.inputs], tabular


def _open(loaded: LoadedRun, paths: Sequence[str], row: int) -> Any:
    return open_images(loaded.session.index.data_dir, paths)[row]


def _tensors(inputs: Sequence[NDArray[Any]], tabular: NDArray[np.float32], session: Session) -> tuple[Tensor, ...]:
    arrays = [*inputs, tabular] if session.competition.tabular else list(inputs)
    return tuple(map(torch.from_numpy, arrays))


def _difference(predictions: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference; of numbers beyond 1 relative to them."""
    return float((np.abs(predictions - expected) / np.maximum(1, np.abs(expected))).max())


def _write_torchscript(loaded: LoadedRun, settings: dict[str, Any], folder: Path, inputs: tuple[Tensor, ...]) -> Any:
    module = ExportedRun(loaded)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # it is deprecated, and shapes that are constants are told as it traces
        jit: Any = torch.jit  # which is not typed
        jit.save(jit.trace(module, inputs, check_trace=False), str(folder / "model.pt"))
        predictions = jit.load(str(folder / "model.pt"))(*inputs).numpy()
    load = 'model = read_settings(folder), torch.jit.load(str(folder / "model.pt"))'
    _write_script(folder, settings, "import torch", load, "model(*map(torch.from_numpy, inputs)).detach().numpy()")
    return predictions


def _write_onnx(loaded: LoadedRun, settings: dict[str, Any], folder: Path, inputs: tuple[Tensor, ...]) -> Any:
    onnxruntime: Any = importlib.import_module("onnxruntime")  # of the extra `export`
    names = [f"images_{each['size']}" for each in settings["inputs"]] + ["tabular"] * bool(settings["tabular"])
    path = folder / "model.onnx"
    shapes = {"inputs": tuple({0: torch.export.Dim("images", min=1, max=4096)} for _ in inputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ExportedRun(loaded),
            inputs,
            str(path),
            input_names=names,
            output_names=["predictions"],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {each.name: tensor.numpy() for each, tensor in zip(model.get_inputs(), inputs, strict=True)}
    load = 'model = read_settings(folder), onnxruntime.InferenceSession(str(folder / "model.onnx"))'
    feeds = "dict(zip([each.name for each in model.get_inputs()], inputs))"
    _write_script(folder, settings, "import onnxruntime", load, f"model.run(None, {feeds})[0]")
    return model.run(None, feed)[0]


def _write_timm(loaded: LoadedRun, settings: dict[str, Any], folder: Path, inputs: tuple[Tensor, ...]) -> Any:
    """Each network as a timm model with a classifier of its own: BatchNorm and linear layer of our head are one."""
    if settings["tabular"]:
        raise UsageError(
            f"a timm model reads images alone, and these networks also {', '.join(settings['tabular'])}",
            fix="--format torchscript, or onnx",
        )
    run = ExportedRun(loaded)
    settings["models"] = []
    settings["postprocess"] = _plain_postprocess(loaded)
    logits = []
    with torch.inference_mode():
        for networks, (place, columns), model in zip(run.groups, run.places, loaded.models, strict=True):
            views = inputs[place][:, columns]
            for (fold, _), network in zip(model.networks, networks, strict=True):
                name = f"{model.member.replace(':', '-')}-fold-{fold.number}.safetensors"
                create, classifier = _timm_model(fold.recipe, model.size, network, folder / name)
                normal = (views.flatten(0, 1).movedim(-1, 1).float() - network.mean) / network.std
                scaled = classifier(normal) * network.scale + network.shift
                logits.append(scaled.unflatten(0, (-1, len(columns))).numpy())
                settings["models"].append(
                    {
                        "file": name,
                        "create": create,
                        "input": place,
                        "views": columns,
                        "mean": network.mean.flatten().tolist(),
                        "std": network.std.flatten().tolist(),
                        "scale": network.scale.tolist(),
                        "shift": network.shift.tolist(),
                        "weight": run.weights[loaded.models.index(model)] / len(model.networks),
                    }
                )
    write_text(folder / "predict.py", _TIMM_SCRIPT)
    return combine(settings, logits)


_TIMM_SCRIPT = '''"""Predict images: python predict.py IMAGE..."""
import sys
from pathlib import Path
import timm, torch
from images import combine, decide, normalised, read_inputs, read_settings
folder = Path(__file__).parent
settings = read_settings(folder)
make = lambda each: timm.create_model(**each["create"], checkpoint_path=str(folder / each["file"])).eval()
models = [(each, make(each)) for each in settings["models"]]
for path in sys.argv[1:]:
    inputs = read_inputs(settings, path)
    logits = [model(torch.from_numpy(normalised(each, inputs))).detach().numpy()[None] for each, model in models]
    predictions = combine(settings, [each[0]["scale"] * one + each[0]["shift"] for each, one in zip(models, logits)])
    print(path, *decide(settings, predictions), *predictions[0].round(5))
'''


def _timm_model(recipe: Any, size: int, network: PlainNetwork, path: Path) -> tuple[dict[str, Any], nn.Module]:
    """The arguments that make the model, and the model with our weights, written to `path`."""
    create: dict[str, Any] = {
        "model_name": recipe.backbone,
        "num_classes": network.linear.out_features,
        "in_chans": network.mean.shape[1],
        **recipe.backbone_args,
    }
    fixed = hasattr(network.backbone, "set_input_size")
    create |= {"img_size": size} if fixed else {}
    model: Any = timm.create_model(**create)
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear) or classifier.in_features != network.linear.in_features:
        raise UsageError(
            f"the classifier of {recipe.backbone} in timm is no linear layer on these features",
            fix="--format torchscript, or onnx",
        )
    _, unexpected = model.load_state_dict(network.backbone.state_dict(), strict=False)
    if unexpected:
        raise UsageError(
            f"{recipe.backbone} of timm has no place for {', '.join(unexpected[:3])}",
            fix="--format torchscript, or onnx",
        )
    norm = network.norm
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    classifier.weight.data = network.linear.weight * gain
    classifier.bias.data = network.linear.bias + network.linear.weight @ (norm.bias - norm.running_mean * gain)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return create, model.eval()


def _plain_postprocess(loaded: LoadedRun) -> dict[str, Any]:
    postprocess, labels = loaded.postprocess, loaded.competition.labels
    return {
        "outputs": postprocess.outputs.to_list(),
        "tta_mean": postprocess.tta.mean.value,
        "mean": postprocess.mean.value,
        "calibration": postprocess.calibration.to_dict(),
        "low": getattr(labels, "low", None),
        "high": getattr(labels, "high", None),
    }


def _write_script(folder: Path, settings: dict[str, Any], imports: str, load: str, predict: str) -> None:
    tabular = ""
    if settings["tabular"]:
        imports = f"import numpy as np\n{imports}"
        tabular = ' + [np.full((1, len(settings["tabular"])), np.nan, np.float32)]'
    script = _SCRIPT.format(imports=imports, load=load, tabular=tabular, predict=predict)
    write_text(folder / "predict.py", script)


_WRITERS = {"torchscript": _write_torchscript, "onnx": _write_onnx, "timm": _write_timm}
