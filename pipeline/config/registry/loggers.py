"""The loggers that params.yaml can name."""

from __future__ import annotations

from pipeline.config.registry.component import Component

# A path may lead out of this package: any Logger of Lightning's that takes save_dir, name and
# version will do, e.g. "pytorch_lightning.loggers:TensorBoardLogger" where that is installed.
LOGGERS = {
    "csv": Component(
        "pytorch_lightning.loggers:CSVLogger",
        "metrics.csv and hparams.yaml of each task, under .scratch/logs/<run>",
    ),
}
