"""What goes wrong in a simulated world, and how often."""

from __future__ import annotations

from dataclasses import dataclass


class Killed(BaseException):
    """The runner was killed at this very step. No `except Exception` may survive that."""


@dataclass(frozen=True)
class Faults:
    """Probabilities: of the scheduler's answers per call, of jobs per start or hour, of the rest per tick."""

    lost_answer: float = 0.0
    """A submission that is made although its answer is lost."""
    lost_request: float = 0.0
    """A submission that is not made, and whose answer is lost, too."""
    late_request: float = 0.0
    """A submission whose answer is lost, and which the scheduler carries out an hour or so later."""
    refusal: float = 0.0
    hung: float = 0.0
    """No answer at all to a status call."""
    unsure: float = 0.0
    """A status call that can tell nothing about a job."""
    unlisted: float = 0.0
    """A status call that cannot list this user's jobs."""
    deaf: float = 0.0
    """A release or deletion that does not reach the scheduler."""
    death: float = 0.0
    """A running job that is killed without warning, per hour."""
    node: float = 0.0
    """A node that fails a job at once, per start."""
    lost_node: float = 0.0
    """A running job that the server gives up with its node, and whose processes live on, per hour."""
    reused_id: float = 0.0
    """A submission, the user's own or a stranger's, that gets the id of a job that has ended."""
    renamed: float = 0.0
    """All nodes get other names, per tick."""
    skew: float = 0.0
    """A node whose clock is hours off, per start of a job."""
    runner_death: float = 0.0
    """The runner is killed between two steps of its tick."""
    second_runner: float = 0.0
    """Another runner ticks between two steps."""
    purge: float = 0.0
    """A run directory disappears."""
    clock_jump: float = 0.0
    stray: float = 0.0
    """The user submits a job of their own."""


CALM = Faults()
ROUGH = Faults(
    lost_answer=0.1,
    lost_request=0.1,
    late_request=0.1,
    refusal=0.05,
    hung=0.1,
    unsure=0.1,
    unlisted=0.05,
    deaf=0.1,
    death=0.1,
    node=0.05,
    lost_node=0.05,
    reused_id=0.05,
    renamed=0.05,
    skew=0.3,
    runner_death=0.15,
    second_runner=0.1,
    purge=0.05,
    clock_jump=0.05,
    stray=0.02,
)
