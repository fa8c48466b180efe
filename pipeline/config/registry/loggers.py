"""The loggers that params.yaml can name."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.registry.component import Component

# A path may lead out of this package: any Logger of Lightning's that takes save_dir, name and
# version will do. A package that not every installation has is named, and stands in the extra
# that has the logger's name in pyproject.toml.
LOGGERS: Mapping[str, Component] = {
    "csv": Component(
        "pytorch_lightning.loggers:CSVLogger",
        "metrics.csv and hparams.yaml of each task, under .scratch/logs/csv/<run>",
    ),
    "tensorboard": Component(
        "pipeline.training.loggers.tensorboard:TensorBoard",
        "files for `tensorboard --logdir .scratch/logs/tensorboard`",
        package="tensorboard",
    ),
    "dvclive": Component(
        "pipeline.training.loggers.dvclive:DVCLive",
        "tables for `dvc plots` and VS Code, under .scratch/logs/dvclive/<run>",
        package="dvclive",
    ),
    "wandb": Component(
        "pipeline.training.loggers.wandb:Wandb",
        "files for `wandb sync`, under .scratch/logs/wandb; WANDB_MODE=online sends",
        package="wandb",
    ),
    "mlflow": Component(
        "pipeline.training.loggers.mlflow:MLflow",
        "the server of MLFLOW_TRACKING_URI, else .scratch/logs/mlflow/mlflow.db",
        package="mlflow",
    ),
}
