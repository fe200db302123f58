"""AutoGluon MultiModal's fine-tuning of a timm backbone. Runs in `.venv-autogluon`, without the runner.

`python -m benchmarks.peers.autogluon`: as a script, this file would be what `import autogluon` finds.
"""

from __future__ import annotations

import time

STARTED, STARTED_AT = time.perf_counter(), time.time()  # before AutoGluon is imported, which a user waits for too

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks.peers.tables import (  # noqa: E402
    LabelledImage,
    parser_of,
    read_test,
    read_train,
    write_result,
    write_submission,
)

REVISION = "0" * 40  # a hub's cache wants one, and an own file has none


def seconds() -> float:
    """Seconds since the start of the process."""
    return round(time.perf_counter() - STARTED, 3)


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as hub:
        if options.weights:
            # AutoGluon has no setting for a weights file: it is laid where timm's downloads are.
            os.environ |= {"HF_HOME": hub, "HF_HUB_OFFLINE": "1"}  # the hub's client reads them when it is imported
            put_into_hub(Path(hub), options)
        train(options)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--preset", default="medium_quality", help="of AutoGluon")
    parser.add_argument("--eval-metric", help="of AutoGluon; its default is accuracy, roc_auc for two classes")
    parser.add_argument("--time-limit", type=float, help="seconds for `fit`")
    parser.add_argument("--max-epochs", type=int, help="without, AutoGluon's 20")
    parser.add_argument("--top-k", type=int, help="snapshots to average, best ones first; without, AutoGluon's 3")
    parser.add_argument("--workers", type=int, help="without, AutoGluon's 2")
    return parser.parse_args()


def put_into_hub(home: Path, options: argparse.Namespace) -> None:
    """Lay the weights file out as the hub's client would have cached it."""
    import timm

    repository = timm.get_pretrained_cfg(options.model).hf_hub_id
    if not repository:
        sys.exit(f"{options.model}: timm {timm.__version__} does not load this model from a hub")
    cached = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = cached / "snapshots" / REVISION
    for folder in (snapshot, cached / "refs"):
        folder.mkdir(parents=True)
    (cached / "refs" / "main").write_text(REVISION)
    (snapshot / "model.safetensors").symlink_to(options.weights.resolve())


def train(options: argparse.Namespace) -> None:
    """Fit, predict the test images, write what came out."""
    import pandas as pd
    from autogluon.multimodal import MultiModalPredictor

    check = WeightsCheck(options.weights) if options.weights else None
    rows, test = read_train(options.folder), read_test(options.folder)
    path = options.out / "autogluon"
    predictor = MultiModalPredictor(label="label", path=str(path), eval_metric=options.eval_metric, verbosity=1)
    predictor.fit(
        train_data=frame_of([row for row in rows if not row.is_validation]),
        tuning_data=frame_of([row for row in rows if row.is_validation]),
        presets=options.preset,
        hyperparameters=hyperparameters(options),
        time_limit=options.time_limit,
        seed=options.seed,
    )
    trained = seconds()
    if check and not check.passed:
        sys.exit("AutoGluon did not build its network with pretrained weights")
    probabilities = predictor.predict_proba(pd.DataFrame({"image": [row.image for row in test]}))
    classes = [str(name) for name in probabilities.columns]
    ids = [row.id for row in test]
    write_submission(options.out / "submission.csv", ids, classes, probabilities.to_numpy().tolist())
    finished = seconds()
    settings = {name: str(value) for name, value in vars(options).items()} | environment()
    write_result(options.out, settings, read_validations(path), trained, finished)


def frame_of(rows: list[LabelledImage]) -> Any:
    import pandas as pd

    return pd.DataFrame({"image": [row.image for row in rows], "label": [row.label for row in rows]})


def hyperparameters(options: argparse.Namespace) -> dict[str, Any]:
    """The backbone alone at this size, on processor cores; the rest as the preset has it."""
    chosen: dict[str, Any] = {
        "model.names": ["timm_image"],
        "model.timm_image.checkpoint_name": options.model,
        "model.timm_image.image_size": options.size,
        "env.num_gpus": 0,
    }
    if options.max_epochs is not None:
        chosen["optim.max_epochs"] = options.max_epochs
    if options.top_k is not None:
        chosen["optim.top_k"] = options.top_k
    if options.workers is not None:
        chosen |= {"env.num_workers": options.workers, "env.num_workers_inference": options.workers}
    return chosen


class WeightsCheck:
    """Compares each pretrained network that AutoGluon builds with the weights file; ends the process if they differ."""

    def __init__(self, weights: Path) -> None:
        from autogluon.multimodal.models import timm_image

        self.weights, self.passed = weights, False
        self._create = timm_image.create_model
        timm_image.create_model = self.create_model

    def create_model(self, name: str, *, pretrained: bool = False, **arguments: Any) -> Any:
        """timm's `create_model`, checked."""
        model = self._create(name, pretrained=pretrained, **arguments)
        if pretrained:
            differing = differing_tensors(model, self.weights)
            if differing:
                sys.exit(f"{len(differing)} tensors are not those of {self.weights}: {', '.join(differing[:3])} ...")
            self.passed = True
        return model


def differing_tensors(model: Any, weights: Path) -> list[str]:
    """The names of the network's tensors that the file does not have, or has otherwise; without the classifier's."""
    from safetensors.torch import load_file
    from torch import equal

    file, built = load_file(str(weights)), model.state_dict()
    classifier = model.pretrained_cfg["classifier"]  # a new one for other classes
    body = [name for name in built if not name.startswith(f"{classifier}.")]
    return [name for name in body if name not in file or not equal(file[name], built[name])]


def read_validations(path: Path) -> list[dict[str, Any]]:
    """Seconds since the start and validation loss, twice an epoch, as AutoGluon logs them for TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path))
    events.Reload()
    losses = events.Scalars("val_loss")
    return [{"seconds": round(loss.wall_time - STARTED_AT, 3), "valid_loss": loss.value} for loss in losses]


def environment() -> dict[str, str]:
    """Versions, and what decides the speed."""
    import torch

    versions = {name: version(name) for name in ("torch", "torchvision", "timm", "lightning", "pillow")}
    return {"autogluon": version("autogluon.multimodal"), **versions, "threads": str(torch.get_num_threads())}


if __name__ == "__main__":
    main()
