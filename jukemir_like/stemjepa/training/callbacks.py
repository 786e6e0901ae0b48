"""What happens between two steps: a row in the log, validation, a saved state, and the stop that a signal asks for."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
import torch.distributed
from torch import Tensor

from jukemir_like.core import signals
from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa.training import compilation, state
from jukemir_like.stemjepa.training.label_probe import LabelProbe
from jukemir_like.stemjepa.training.metrics_log import TIMINGS, MetricsLog
from jukemir_like.stemjepa.training.module import TrainingModule, gather_rows, is_due, learning_rate, tau
from jukemir_like.stemjepa.training.validation import Validation, effective_rank, mean_cosine, spread

_COMPARED_EXAMPLES = 32  # of a batch, by teacher and encoder
_STOP_CHECK_STEPS = 8  # ranks ask one another this often whether one of them has to stop
_ANNOUNCING_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)


class StepCallback(lightning.Callback):
    """Does what is due after each step.

    Args:
        module: in training.
        sources: names of its stems.
        states: folder of the full states.
        metrics_log: of the run; None: this is not the first process.
        validation: None: there are no held-out tracks.
        probe: of labels of held-out tracks; None: none is wanted.
        interruption: says whether a signal was received.
        say: prints a line, in the first process.
    """

    def __init__(
        self,
        module: TrainingModule,
        sources: tuple[str, ...],
        states: Path,
        metrics_log: MetricsLog | None,
        validation: Validation | None,
        probe: LabelProbe | None,
        interruption: Interruption,
        say: Callable[[str], None],
    ) -> None:
        self.module, self.settings, self.sources = module, module.settings, sources
        self.states, self.metrics_log, self.validation, self.probe = states, metrics_log, validation, probe
        self.interruption, self.say = interruption, say
        self.saved_step = module.step
        self._uncompiled = compilation.uncompiled if self.settings.trainer.compile else nullcontext
        self._progress: Progress | None = None
        self._last_step = module.step
        self._last_logged = (module.step, module.seconds)
        self._started_at = time.perf_counter()
        self._seconds_before = module.seconds
        self._validation_seconds = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self.interruption.install()
        if trainer.is_global_zero:
            self._progress = Progress(self.settings.trainer.max_steps, "training", "step", initial=self.module.step)
        self._started_at = time.perf_counter()
        if self.module.step == 0:
            self._validate(trainer)
            self._probe(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        step = self.module.step
        if step == self._last_step:  # a micro-batch that does not complete its step
            return
        self._last_step = step
        if self._progress is not None:
            self._progress.update()
        options, stopping = self.settings.trainer, self._is_stopping(step)
        if is_due(self.settings, step, options.log_every_steps):
            self._log(trainer, batch)
        if is_due(self.settings, step, options.valid_every_steps):
            self._validate(trainer)
        if is_due(self.settings, step, options.probe_every_steps):
            self._probe(trainer)
        if stopping or is_due(self.settings, step, options.checkpoint_every_steps):
            self._save(trainer)
        if stopping:
            trainer.should_stop = True

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        if self._progress is not None:
            self._progress.close()

    @property
    def seconds(self) -> float:
        """Time spent on training, in all processes that worked on this run one after another, without validation."""
        return self._seconds_before + time.perf_counter() - self._started_at - self._validation_seconds

    def _is_stopping(self, step: int) -> bool:
        """Whether this process, or at every eighth step any process of the run, has received a signal; all get the same answer."""
        received = self.interruption.received is not None
        if not torch.distributed.is_initialized():
            return received
        if step % _STOP_CHECK_STEPS:
            return False
        on_any_rank = torch.tensor([float(received)], device="cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
        torch.distributed.all_reduce(on_any_rank)
        if bool(on_any_rank) and not received:
            self.interruption.received = signal.SIGTERM
        return bool(on_any_rank)

    def _save(self, trainer: lightning.Trainer) -> None:
        self.module.seconds = self.seconds
        state.save(trainer, self.states, self.module.step)
        self.saved_step = self.module.step

    def _log(self, trainer: lightning.Trainer, batch: Mapping[str, Tensor]) -> None:
        module, step = self.module, self.module.step
        metrics = self._losses()
        if not math.isfinite(metrics.get("loss", 0.0)):
            remedy = f"lower optimiser.lr, or choose trainer.precision=32; the state of step {self.saved_step} is kept"
            raise RequestError(f"the loss is not finite at step {step}: {remedy}")
        last_step, last_seconds = self._last_logged
        seconds = self.seconds
        self._last_logged = (step, seconds)
        batch_size = self.settings.data.dataloader.batch_size
        metrics |= {
            "lr": learning_rate(self.settings, step - 1),
            "tau": tau(self.settings, step - 1),
            "gradient_norm": float(module.gradient_norm) if module.gradient_norm is not None else math.nan,
            "examples_per_second": (step - last_step) * batch_size / max(seconds - last_seconds, 1e-9),
            "seconds": seconds,
        }
        if module.views is not None:
            with self._uncompiled():
                metrics |= _collapse_metrics(module, batch)
        self._write(trainer, metrics)

    def _losses(self) -> dict[str, float]:
        """Mean losses since the last row, over all stems and per stem."""
        metrics: dict[str, float] = {}
        for row, sums in self.module.loss_sums.read().items():
            count = sum(number for _, number in sums)
            if not count:
                continue
            metrics[row if row == "loss" else f"loss_{row}"] = sum(total for total, _ in sums) / count
            if row == "loss":
                metrics |= {f"loss/{name}": total / number for name, (total, number) in zip(self.sources, sums, strict=True) if number}
        return metrics

    def _validate(self, trainer: lightning.Trainer) -> None:
        if self.validation is None:
            return
        started = time.perf_counter()
        with self._uncompiled():
            metrics = self.validation(self.module)
        self._write(trainer, metrics)
        if metrics:
            self.say(self._validation_line(metrics))
        self._validation_seconds += time.perf_counter() - started

    def _probe(self, trainer: lightning.Trainer) -> None:
        if self.probe is None:
            return
        started = time.perf_counter()
        with self._uncompiled():
            metrics = self.probe(self.module)
        self._write(trainer, metrics)
        scores = [f"{name} {value:.3f}" for name, value in metrics.items() if name.rpartition("/")[2] not in TIMINGS]
        if scores:
            self.say(f"step {self.module.step:,}: {', '.join(scores)}")
        self._validation_seconds += time.perf_counter() - started

    def _validation_line(self, metrics: Mapping[str, float]) -> str:
        recall, chance = (100 * metrics[f"valid/same-instrument/R@1{suffix}"] for suffix in ("", " by chance"))
        latest = self.module.latest
        loss = f"loss {latest['loss']:.3f}, " if "loss" in latest else ""
        rank = metrics["valid/effective_rank"]
        return f"step {self.module.step:,}: {loss}R@1 {recall:.1f} % (chance {chance:.1f} %), effective rank {rank:.1f}"

    def _write(self, trainer: lightning.Trainer, metrics: dict[str, float]) -> None:
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.module.latest |= finite
        if self.metrics_log is not None and finite:
            self.metrics_log.write(finite, self.module.step)
            for logger in trainer.loggers:
                logger.log_metrics(finite, step=self.module.step)


@torch.no_grad()
def _collapse_metrics(module: TrainingModule, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Of the last micro-batch of all ranks, before its update; teacher and encoder are compared as they are now, after it."""
    views, network = module.views, module.network
    assert views is not None  # noqa: S101
    target, prediction = (gather_rows(network.pooled(patches)) for patches in (views.target, views.prediction))
    log_mel = network.frontend(batch["target"][:_COMPARED_EXAMPLES])
    with torch.autocast(log_mel.device.type, torch.bfloat16, enabled=module.settings.trainer.precision == "bf16"):
        student, teacher = network.encoder(log_mel), network.teacher(log_mel)
    module.views = None
    return {
        "spread": float(spread(target)) if len(target) > 1 else math.nan,
        "effective_rank": float(effective_rank(target)),
        "effective_rank_prediction": float(effective_rank(prediction)),
        "teacher_student_cosine": float(mean_cosine(student, teacher)),
    }


class Interruption:
    """Collects signals while it is entered, so that a run stops between two steps and its state can be saved first.

    After that the signal takes its usual course (:meth:`deliver`). SIGINT, SIGTERM and SIGHUP end the process by their previous handlers;
    SIGUSR1 and SIGUSR2, by which schedulers announce the end of a job's time, go to a handler that may put the job back into the queue.
    Only in a process's main thread; elsewhere signals stay with the main thread.

    Attributes:
        received: the first signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            # An announcement without a handler keeps its default action, and so does SIGHUP where it is ignored (nohup).
            announcing = [number for number in _ANNOUNCING_SIGNALS if callable(signal.getsignal(number))]
            ending = [number for number in signals.EXIT_SIGNALS if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP]
            self._handlers = {number: signal.getsignal(number) for number in (*ending, *announcing)}
            self.install()
        return self

    def install(self) -> None:
        """Installs the handlers; again, where another library has installed its own in the meantime."""
        for number in self._handlers:
            signal.signal(number, self._receive)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def deliver(self) -> None:
        """Calls the previous handler of the received signal. Call it after the block; it does not return where there was a signal."""
        if self.received is None:
            return
        handler = self._handlers[self.received]
        if callable(handler):
            handler(self.received, None)
        raise KeyboardInterrupt

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:  # a second Ctrl-C does not wait for the step
            signals.exit_now()
        self.received = self.received or number
