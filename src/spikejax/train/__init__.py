"""Training: the jitted loop, checkpoints and logs."""

from spikejax.train.build import build_trainer, load_data
from spikejax.train.checkpoint import Checkpoints
from spikejax.train.config import RunConfig
from spikejax.train.fit import Outcome, Reporter, fit
from spikejax.train.log import RunLog, read_log
from spikejax.train.optimizer import make_optimizer, make_schedule
from spikejax.train.trainer import Totals, Trainer, TrainState

__all__ = [
    "Checkpoints",
    "Outcome",
    "Reporter",
    "RunConfig",
    "RunLog",
    "Totals",
    "TrainState",
    "Trainer",
    "build_trainer",
    "fit",
    "load_data",
    "make_optimizer",
    "make_schedule",
    "read_log",
]
