"""Trains the runs of a pack side by side: on streams of one GPU, or in processes on CPU cores.

A run is the same whatever is trained beside it, and what happens to one leaves the others alone:
one that diverges ends, one that fails is reported once the others are done, and where memory does
not suffice, fewer are trained at a time.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess

import torch

from ..base.devices import free_memory, is_out_of_memory
from ..base.errors import UserError, system_sentence
from ..base.interruption import Interrupted, StartAgain, StopRequest
from ..study.cost import bytes_label
from ..training.cuda_graphs import CaptureFailed
from .life import Life
from .member import Member
from .progress import TrainingProgress
from .workshop import Workshop

# Share of the free memory that is planned for; the rest is for what the estimate leaves out.
PLANNED = 0.8
# How a process of `train_in_processes` ended, besides 0 and a signal.
OUT_OF_MEMORY, STOPPED = 75, 128 + signal.SIGTERM


class Failures:
    """What went wrong with some runs while others went on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._sentences: list[str] = []

    def add(self, member: Member, error: BaseException | str) -> None:
        """Keep, and say at once, what happened to a run."""
        self._sentences.append(f"{member.label}: {error if isinstance(error, str) else _sentence(error)}")
        self._say(f"{self._sentences[-1]}; the other runs go on")

    def raise_if_any(self) -> None:
        """Raise a `UserError` of one sentence per run that failed."""
        if self._sentences:
            raise UserError("\n".join(self._sentences))


def _sentence(error: BaseException) -> str:
    """An error as a sentence; of one that nobody expected, the log has the traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return system_sentence(error)
    traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def places(members: Sequence[Member], workshop: Workshop, say: Callable[[str], None]) -> int:
    """How many of these runs are trained at a time, by what is allowed and what memory is free."""
    on_gpu = workshop.device.type == "cuda"
    allowed = min(len(members), workshop.way.together if on_gpu else workshop.way.threads)
    if allowed < 2:
        return max(1, allowed)
    runs = [member.run for member in members]
    largest = max(workshop.memory(run) for run in runs)
    free = max(0, free_memory(workshop.device) - workshop.evaluation_memory(runs))
    fitting = max(1, int(PLANNED * free) // largest)
    if fitting < allowed:
        say(f"{fitting} at a time, as a run takes some {bytes_label(largest)} and {bytes_label(free)} are free")
    return min(allowed, fitting)


def _does_not_fit(member: Member, workshop: Workshop, killed: bool = False) -> str:
    """killed: whether all that is known is that its process was killed."""
    run = member.run
    what = "was killed, as is done where memory does not suffice" if killed else "does not fit into memory alone"
    return (
        f"{what}: base_channels={run.base_channels} at batch_size={run.batch_size} takes some "
        f"{bytes_label(workshop.memory(run))} to be trained and {bytes_label(workshop.evaluating_alone(run))} to be "
        f"evaluated, and {bytes_label(free_memory(workshop.device))} are free; training.accumulate and "
        f"training.recompute need less for the one, smaller evaluation.images and samples for the other"
    )


def train_in_turn(
    members: Sequence[Member], limit: int, workshop: Workshop, progress: TrainingProgress, stop: StopRequest
) -> None:
    """Train runs in this process, up to ``limit`` at a time: on a GPU each has a stream, and they overlap.

    Where memory runs out, half as many go on from where they are, and the others follow later.

    Raises:
        Interrupted: the job was asked to stop; every run is saved.
        StartAgain: memory ran out, and this process cannot give any back; every run is saved.
        UserError: some run failed; all others are done.
    """
    _Turns(members, limit, workshop, progress, stop).train()


class _Turns:
    """The runs that are waiting and those that are living, of which each proceeds in its turn."""

    def __init__(
        self, members: Sequence[Member], limit: int, workshop: Workshop, progress: TrainingProgress, stop: StopRequest
    ) -> None:
        self._waiting, self._living = deque(members), list[Life]()
        self._limit, self._workshop, self._progress, self._stop = limit, workshop, progress, stop
        self._failures = Failures(progress.message)

    def train(self) -> None:
        while self._waiting or self._living:
            if self._stop.received and not self._living:
                raise Interrupted
            while self._waiting and len(self._living) < self._limit and not self._stop.received:
                self._begin(self._waiting.popleft())
            moved = False
            for life in self._living.copy():
                if life in self._living:  # else it was put aside for another
                    moved = self._proceeded(life) or moved
            if not moved:
                time.sleep(1e-4)
        self._failures.raise_if_any()

    def _begin(self, member: Member) -> None:
        try:
            self._living.append(Life(member, self._workshop, self._progress, self._stop))
        except Exception as error:
            self._give_way(member, error)

    def _proceeded(self, life: Life) -> bool:
        """Let a run go on if the device waits for more of it, and deal with how that ended; says whether it did."""
        try:
            if not (life.ready or self._stop.received):
                return False
            if life.proceed():
                return True
        except Interrupted:
            self._waiting.append(life.member)
        except Exception as error:
            self._let_go(life)
            self._give_way(life.member, error)
            return True
        self._let_go(life)
        return True

    def _let_go(self, life: Life) -> None:
        self._living.remove(life)
        life.let_go()

    def _put_aside(self, life: Life) -> None:
        """Save a run, to be continued later."""
        try:
            life.put_aside()
        except Exception as error:
            said = f"goes on from its last checkpoint, as it cannot be saved: {error}"
            self._progress.message(f"{life.member.label}: {said}")
        self._let_go(life)
        self._waiting.appendleft(life.member)

    def _give_way(self, member: Member, error: Exception) -> None:
        """Deal with a run that failed beside those that are living: alone, or for want of memory."""
        # What fails while a graph is captured has many names for want of memory
        crowded = is_out_of_memory(error) or isinstance(error, CaptureFailed)
        if crowded and self._living:
            self._limit = max(1, (len(self._living) + 1) // 2)
            self._waiting.appendleft(member)
            for life in self._living[self._limit :]:
                self._put_aside(life)
            self._progress.message(f"out of memory: {self._limit} at a time from here on")
        else:
            self._failures.add(member, _does_not_fit(member, self._workshop) if is_out_of_memory(error) else error)
        _forget(error)
        if not _release():
            for life in self._living.copy():
                self._put_aside(life)
            self._failures.raise_if_any()
            raise StartAgain(self._limit)


def _forget(error: BaseException | None) -> None:
    """Let go of what an exception, and those that led to it, hold on to: the tensors of a run."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _release() -> bool:
    """Give back the memory of what is no longer referred to; says whether that can be done.

    After a capture that failed at its end, torch's allocator believes for ever that it is going on, and refuses.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:
            print(f"the GPU's memory cannot be given back: {error}", file=sys.stderr)
            return False
    return True


def train_in_processes(
    members: Sequence[Member],
    limit: int,
    train: Callable[[Member], None],
    workshop: Workshop,
    progress: TrainingProgress,
    stop: StopRequest,
) -> None:
    """Train each run in a process of its own, up to ``limit`` at a time.

    Args:
        members: the runs.
        limit: number of processes.
        train: trains one run; called in its process, on one thread.
        workshop: as of the runs.
        progress: where what happens is said.
        stop: whether the job was asked to stop.

    Raises:
        Interrupted: as of `train_in_turn`.
        UserError: as of `train_in_turn`.
    """
    failures = Failures(progress.message)
    # A server that has loaded the library once makes each process without loading it again
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([Life.__module__])
    waiting = deque(members)
    running: dict[int, tuple[BaseProcess, connection.Connection, Member]] = {}
    interrupted = False
    while (waiting and not stop.received) or running:
        while waiting and len(running) < limit and not stop.received:
            member = waiting.popleft()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_in_process, args=(train, member, sender), daemon=True)
            process.start()
            sender.close()
            running[process.sentinel] = process, receiver, member
        if stop.received and not interrupted:
            interrupted = True
            for stopped, *_ in running.values():
                stopped.terminate()
        beside = len(running) - 1  # those that end together were beside each other
        for sentinel in connection.wait(list(running), timeout=0.2):
            ended, receiver, member = running.pop(sentinel)  # type: ignore[arg-type]  # a sentinel is what we gave
            ended.join()
            said = _received(receiver)
            if ended.exitcode in (OUT_OF_MEMORY, -signal.SIGKILL) and not stop.received:
                if beside:
                    limit = max(1, (beside + 1) // 2)
                    waiting.append(member)
                    progress.message(f"out of memory: {limit} at a time from here on")
                else:
                    failures.add(member, _does_not_fit(member, workshop, ended.exitcode == -signal.SIGKILL))
            elif ended.exitcode not in (0, STOPPED):
                failures.add(member, said or f"its process ended with status {ended.exitcode}")
    if stop.received:
        raise Interrupted
    failures.raise_if_any()


def _received(receiver: connection.Connection) -> str:
    """What a process that has ended said of its failure, if anything."""
    with receiver:
        try:
            return str(receiver.recv())
        except EOFError:
            return ""


def _in_process(train: Callable[[Member], None], member: Member, sender: connection.Connection) -> None:
    """Train in this process, and say by its exit status, and a sentence, how that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which asks this one to stop
    torch.set_num_threads(1)
    try:
        train(member)
    except Interrupted:
        sys.exit(STOPPED)
    except Exception as error:
        if is_out_of_memory(error):
            sys.exit(OUT_OF_MEMORY)
        sender.send(_sentence(error).removeprefix(f"{member.label}: "))  # which the parent says
        sys.exit(1)
