"""Calls the campaign's command about events that nobody was told of yet; whatever it does, nothing else changes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kd_hpc.campaign import Campaign, Notify
from kd_hpc.disk.files import publish_text
from kd_hpc.errors import KdError, StoreError
from kd_hpc.notification.events import Event, a_test, of_failure, of_plan
from kd_hpc.notification.markers import Markers, Stage
from kd_hpc.planning.decision import Plan
from kd_hpc.schedulers.shell import Answer, call

FOLDER = "notified"
"""Below the folder where kd-hpc keeps its own files."""
_FAILING = "failing"
MOST_IN_A_TEXT = 10
"""So many things are told in words; `details` holds all."""


class Notifier:
    """Tells about the campaign whose runs lie below `root`; keeps what it told in `control`. Never raises."""

    def __init__(self, campaign: Campaign, root: Path, control: Path) -> None:
        self._campaign, self._root = campaign, root
        self._markers, self._failing = Markers(control / FOLDER), control / FOLDER / _FAILING
        self._latest: list[str] | None = None

    @contextmanager
    def over_a_round(self, *, counts: bool = True) -> Iterator[None]:
        """The body is a round, if it `counts`: what it raises kept it from its work."""
        try:
            yield
        except KdError as error:
            if counts:
                self.after_failure(error.what)
            raise

    def after_round(self, plan: Plan, *, failure: str, is_known: bool) -> None:
        """After a round with that plan, which is one `is_known` to be of things as they are; `failure` says what kept
        it from some of its work.
        """
        if self._campaign.notify is None:
            return
        if failure:
            self.after_failure(failure)
        else:
            self.after_success()
        events = of_plan(self._campaign.name, plan, self._root) if is_known else []
        names = [event.name for event in events]
        if is_known and names != self._latest:
            self._safely(self._markers.forget_others, ("needs_person", "ended"), names)
            self._tell(events)
            self._latest = names

    def after_failure(self, reason: str) -> None:
        """After a round that could not do its work."""
        if self._campaign.notify is None or not self._root.is_dir():
            return
        now = datetime.now(UTC)
        self._tell(of_failure(self._campaign.name, self._failing_since(now), now, reason))

    def after_success(self) -> None:
        """After a round that did its work; should rounds fail again, their day begins anew."""
        self._safely(self._succeeded)

    def test(self) -> Answer | None:
        """Call the command now; None where the campaign names none."""
        notify = self._campaign.notify
        return self._call(notify, [a_test(self._campaign.name)]) if notify else None

    def _succeeded(self) -> None:
        if self._failing.exists():
            self._failing.unlink(missing_ok=True)
            self._markers.forget_others(("unable",), ())

    def _failing_since(self, now: datetime) -> datetime:
        """When rounds began to fail: written down by the first."""
        try:
            return datetime.fromisoformat(self._failing.read_text())
        except (OSError, ValueError):
            self._safely(self._begin_failing, now)
            return now

    def _begin_failing(self, now: datetime) -> None:
        self._failing.parent.mkdir(parents=True, exist_ok=True)
        publish_text(self._failing, now.isoformat())

    def _tell(self, events: Sequence[Event]) -> None:
        """One call about all events that are new, of those of one kind."""
        for kind in dict.fromkeys(event.kind for event in events):
            self._safely(self._tell_of, [event for event in events if event.kind == kind])

    def _tell_of(self, events: Sequence[Event]) -> None:
        claimed = [(event, path) for event in events if (path := self._markers.claim(event))]
        notify = self._campaign.notify
        if not claimed or notify is None:
            return
        for event, path in claimed:
            self._markers.note(path, event, Stage.CALLING)
        answer = self._call(notify, [event for event, _ in claimed])
        failed = answer.is_missing or answer.exit_status != 0
        stage, said = Stage.FAILED if failed else Stage.TOLD, answer.failure or answer.stderr[-500:]
        for event, path in claimed:
            self._markers.note(path, event, stage, said)
        if failed or answer.failure:
            print(f"The [notify] command could not tell of {claimed[0][0].title!r}: {answer.words}", file=sys.stderr)

    def _call(self, notify: Notify, events: Sequence[Event]) -> Answer:
        message = self._message(events)
        variables = {"KD_TITLE": message["title"], "KD_TEXT": message["text"], "LC_ALL": os.environ.get("LC_ALL", "")}
        return call(notify.command, timeout=notify.seconds, stdin=json.dumps(message, indent=2), variables=variables)

    def _message(self, events: Sequence[Event]) -> dict[str, Any]:
        """What the command gets on stdin."""
        first, name = events[0], self._campaign.name
        title = first.title if len(events) == 1 else f"{name}: {len(events)} things need you"
        return {
            "schema_version": 1,
            "event": first.kind,
            "campaign": name,
            "experiments": str(self._root.absolute()),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "title": title,
            "text": "\n\n".join([*(event.text for event in events[:MOST_IN_A_TEXT]), *_rest(events)]),
            "details": [event.details for event in events],
        }

    def _safely(self, act: Callable[..., None], *arguments: Any) -> None:
        """A notification that cannot be kept or made is said on stderr, and no more."""
        try:
            act(*arguments)
        except (StoreError, OSError) as error:
            print(f"Nobody could be notified: {error}", file=sys.stderr)


def _rest(events: Sequence[Event]) -> list[str]:
    more = len(events) - MOST_IN_A_TEXT
    return [f"And {more} more: kd-hpc status"] if more > 0 else []
