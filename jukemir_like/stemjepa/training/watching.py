"""What happens between the steps of a run: a line in the log, validation, a saved state, a stop where a signal asks for it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.distributed
from torch import Tensor

from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import monitors, schedule, state
from jukemir_like.stemjepa.training.interruption import Interruption
from jukemir_like.stemjepa.training.module import Module, everywhere
from jukemir_like.stemjepa.training.validating import Validation

_WATCHED_EXAMPLES = 32
_AGREED_STEPS = 8  # ranks ask one another this often whether one of them is to stop


@dataclass(frozen=True)
class Cadence:
    """After how many steps things happen; the last step is always among them."""

    log: int
    validate: int
    save: int
    last: int

    @classmethod
    def of(cls, settings: Training) -> Cadence:
        """As ``settings`` say; 0 or less: at the end alone."""
        trainer = settings.trainer
        every = (trainer.log_every_steps, trainer.valid_every_steps, trainer.checkpoint_every_steps)
        log, validate, save = (steps if steps > 0 else trainer.max_steps for steps in every)
        return cls(log, validate, save, trainer.max_steps)

    def due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many steps happens after step ``step``."""
        return step % every == 0 or step == self.last


class Watching(lightning.Callback):
    """Does what is due after each step.

    Args:
        module: in training.
        sources: names of its stems.
        states: folder of the full states.
        validation: None: there are no held-out tracks.
        stop: whether a signal asks for the end.
        say: prints a line, in the first process.
    """

    def __init__(
        self,
        module: Module,
        sources: tuple[str, ...],
        states: Path,
        validation: Validation | None,
        stop: Interruption,
        say: Callable[[str], None],
    ) -> None:
        self.say = say
        self.module, self.settings, self.sources = module, module.settings, sources
        self.states, self.validation, self.stop = states, validation, stop
        self.cadence = Cadence.of(self.settings)
        self.saved = module.step
        self._bar: Progress | None = None
        self._seen = module.step
        self._logged = (module.step, module.seconds)
        self._resumed_at = time.perf_counter()
        self._before = module.seconds
        self._paused = 0.0
        module.watched = lambda step: self.cadence.due(step + 1, self.cadence.log)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self.stop.hold()
        if trainer.is_global_zero:
            self._bar = Progress(self.cadence.last, "training", "step", initial=self.module.step)
        self._resumed_at = time.perf_counter()
        if self.module.step == 0:
            self._validate(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        step = self.module.step
        if step == self._seen:  # a micro-batch of a step that goes on
            return
        self._seen = step
        if self._bar is not None:
            self._bar.update()
        cadence, stopping = self.cadence, self._stopping(step)
        if cadence.due(step, cadence.log):
            self._log(trainer, batch)
        if cadence.due(step, cadence.validate):
            self._validate(trainer)
        if cadence.due(step, cadence.save) or stopping:
            self.save(trainer)
        if stopping:
            trainer.should_stop = True

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        if self._bar is not None:
            self._bar.close()

    def save(self, trainer: lightning.Trainer) -> None:
        """Writes the full state."""
        self.module.seconds = self.seconds
        state.save(trainer, self.states, self.module.step)
        self.saved = self.module.step

    @property
    def seconds(self) -> float:
        """Spent on training, in all processes that worked on this run one after another; validation left out."""
        return self._before + time.perf_counter() - self._resumed_at - self._paused

    def _stopping(self, step: int) -> bool:
        received = self.stop.received is not None
        if not torch.distributed.is_initialized():
            return received
        if step % _AGREED_STEPS:
            return False
        anyone = torch.tensor([float(received)], device="cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
        torch.distributed.all_reduce(anyone)
        if bool(anyone) and not received:
            self.stop.received = signal.SIGTERM
        return bool(anyone)

    def _log(self, trainer: lightning.Trainer, batch: Mapping[str, Tensor]) -> None:
        module, step = self.module, self.module.step
        figures = self._losses()
        if not math.isfinite(figures.get("loss", 0.0)):
            remedy = f"lower optimiser.lr, or choose trainer.precision=32; the state of step {self.saved} is kept"
            raise RequestError(f"the loss is not finite at step {step}: {remedy}")
        before, then = self._logged
        self._logged = (step, self.seconds)
        figures |= {
            "lr": schedule.learning_rate(self.settings, step - 1),
            "tau": schedule.tau(self.settings, step - 1),
            "gradient_norm": float(module.gradient_norm) if module.gradient_norm is not None else math.nan,
            "examples_per_second": (step - before) * self.settings.data.dataloader.batch_size / max(self._logged[1] - then, 1e-9),
            "seconds": self._logged[1],
        }
        if module.views is not None:
            figures |= _monitors(module, batch)
        self._write(trainer, figures, step)

    def _losses(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        for row, sums in self.module.tally.read().items():
            count = sum(number for _, number in sums)
            if not count:
                continue
            figures[row if row == "loss" else f"loss_{row}"] = sum(total for total, _ in sums) / count
            if row == "loss":
                figures |= {f"loss/{name}": total / number for name, (total, number) in zip(self.sources, sums, strict=True) if number}
        return figures

    def _validate(self, trainer: lightning.Trainer) -> None:
        if self.validation is None:
            return
        started = time.perf_counter()
        if trainer.is_global_zero:
            figures = self.validation(self.module)
            self._write(trainer, figures, self.module.step)
            if figures:
                self.say(self._line(figures))
        trainer.strategy.barrier("validation")
        self._paused += time.perf_counter() - started

    def _line(self, figures: Mapping[str, float]) -> str:
        found, chance = (100 * figures[f"valid/same-instrument/R@1{suffix}"] for suffix in ("", " by chance"))
        latest = self.module.latest
        loss = f"loss {latest['loss']:.3f}, " if "loss" in latest else ""
        rank = figures["valid/effective_rank"]
        return f"step {self.module.step:,}: {loss}R@1 {found:.1f} % (chance {chance:.1f} %), effective rank {rank:.1f}"

    def _write(self, trainer: lightning.Trainer, figures: dict[str, float], step: int) -> None:
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self.module.latest |= finite
        if trainer.is_global_zero and finite:
            for logger in trainer.loggers:
                logger.log_metrics(finite, step=step)


@torch.no_grad()
def _monitors(module: Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Of the last micro-batch of all ranks, before its update; the teacher is compared with the encoder as they are now."""
    views, network = module.views, module.network
    assert views is not None  # noqa: S101
    target, prediction = (everywhere(network.pooled(patches)) for patches in (views.target, views.prediction))
    heard = network.frontend(batch["target"][:_WATCHED_EXAMPLES])
    with torch.autocast(heard.device.type, torch.bfloat16, enabled=module.settings.trainer.precision == "bf16"):
        student, teacher = network.encoder(heard), network.teacher(heard)
    module.views = None
    return {
        "spread": float(monitors.spread(target)) if len(target) > 1 else math.nan,
        "effective_rank": float(monitors.effective_rank(target)),
        "effective_rank_prediction": float(monitors.effective_rank(prediction)),
        "teacher_student_cosine": float(monitors.likeness(student, teacher)),
    }
