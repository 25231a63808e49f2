"""What a build asks of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self, TypeVar, runtime_checkable

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@runtime_checkable
class Engine(Protocol):
    """Runs tasks by workers. A context: it connects on entering, and lets go of its workers on leaving."""

    def __enter__(self) -> Self:
        """Connect, or begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the workers; what is not done is not waited for."""

    def run(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Yield the results of tasks as they come, in no order.

        Parameters
        ----------
        function : callable
            Of a module that workers can import.
        tasks : iterable
            Its arguments. They are taken as there is room for them, and never all held at once.

        Raises
        ------
        WorkerDiedError
            If workers die of a task.
        Exception
            What a task raises; no other task is begun then.
        """

    def visit(self, function: Callable[[_Task], _Result], task: _Task) -> Iterable[tuple[str, _Result | Exception]]:
        """Run one task in every worker that there is and yield each one's name and result, or its error.

        An engine that cannot reach each of them visits any one; one whose workers need no visit visits none.
        """

    def cancel(self) -> None:
        """Give up the tasks that are not done, as far as they can be stopped."""


@contextmanager
def abandoned_early(engine: Engine) -> Iterator[None]:
    """Cancel an engine's tasks when the context ends by an error, or by Ctrl-C: before locks are given back."""
    try:
        yield
    except BaseException:
        engine.cancel()
        raise
