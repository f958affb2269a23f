"""Hands the platform what it is owed: output, files, states, usage; each at least once, in order.

Every step raises ``PlatformUnavailable`` when the platform cannot be asked; the caller waits and
comes again. What the platform refuses for good is noted and never sent again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
from suanwang.agent.keeper import Keeper
from suanwang.agent.messages import Refusal
from suanwang.agent.spool import AttemptRow, Spool
from suanwang.core.jobspec import FILE_BYTES_MAX
from suanwang.engines.port import Engine, EngineUnavailable, Stream

log = logging.getLogger("suanwang.agent")

_PIECE_BYTES = 256 << 10
_PIECES_A_ROUND = 8
_ENDED_A_ROUND = 50
_RUNNING_A_ROUND = 25
_OUTPUT_SECONDS = 0.4
"""How long a round hands over output before states have their turn again."""
_ENOUGH = -1
"""In place of an offset: the platform takes no more of this stream."""
_GIVEN_UP = frozenset({"attempt_void", "attempt_unknown", "job_has_ended"})
"""Answers that mean: this attempt is no longer the platform's."""


class Delivery:
    """The outgoing side of the agent."""

    def __init__(
        self,
        client: PlatformClient,
        spool: Spool,
        engine: Engine,
        keeper: Keeper,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._spool = spool
        self._engine = engine
        self._keeper = keeper
        self._now = now
        self._last_seen = ""

    def round(self) -> bool:
        """Deliver some of what is owed; True if there is more to do at once."""
        more = self._states()
        until = time.monotonic() + _OUTPUT_SECONDS
        for row in self._turn():
            more |= self._output(row)
            if time.monotonic() >= until:  # what the engine knows by now must not wait for it
                more = True
                break
        more |= self._states()
        more |= self._usage()
        self._close_settled()
        return more

    def _turn(self) -> list[AttemptRow]:
        """Whose output is looked at in this round: first what has ended, for its end waits for it;
        of what runs some, in turn, so that thousands of jobs do not keep an engine busy.
        """
        ended = self._spool.with_output("ended", "", _ENDED_A_ROUND)
        running = self._spool.with_output("submitted", self._last_seen, _RUNNING_A_ROUND)
        self._last_seen = running[-1].attempt_id if len(running) == _RUNNING_A_ROUND else ""
        return ended + running

    # -- output ---------------------------------------------------------------------

    def _output(self, row: AttemptRow) -> bool:
        """The streams as far as they go and, after the end, the files; True if more is there."""
        try:
            ends = [self._stream(row, stream) for stream in ("stdout", "stderr")]
            if row.phase != "ended":
                return "more" in ends
            if all(end == "complete" for end in ends):
                self._files(row)
                self._spool.change(row.attempt_id, output_done=1)
        except KeyError:  # the engine lost it: there is nothing to hand over
            self._spool.change(row.attempt_id, output_done=1)
        except EngineUnavailable as error:
            log.warning("the engine does not answer: %s", error)
            return False
        return True

    def _stream(self, row: AttemptRow, stream: Stream) -> str:
        """``complete``, ``more``, or ``waiting`` for the job to write on."""
        offset = row.stdout_offset if stream == "stdout" else row.stderr_offset
        if offset == _ENOUGH:
            return "complete"
        for _ in range(_PIECES_A_ROUND):
            piece = self._engine.logs(row.ref, stream, offset, _PIECE_BYTES)
            if not piece.data:
                return "complete" if piece.complete else "waiting"
            try:
                wanted = self._client.log(row.attempt_id, stream, offset, piece.data)
            except PlatformRefused as refusal:
                self._spool.refused(self._now(), refusal.code, f"{row.attempt_id} {stream}")
                behind = refusal.facts.get("expected") if refusal.code == "log_gap" else None
                wanted = behind if isinstance(behind, int) and behind < offset else offset
            offset = _ENOUGH if wanted == offset else wanted
            self._spool.change(row.attempt_id, **{f"{stream}_offset": offset})
            if offset == _ENOUGH or (piece.complete and offset >= piece.next_offset):
                return "complete"
        return "more"

    def _files(self, row: AttemptRow) -> None:
        sent = list(row.files_sent)
        for file in self._engine.outputs(row.ref):
            if file.name in sent:
                continue
            try:
                if file.size > FILE_BYTES_MAX:
                    raise PlatformRefused(413, "file_too_large", str(file.size))
                with self._engine.open_output(row.ref, file.name) as source:
                    data = source.read(FILE_BYTES_MAX + 1)
                self._client.put_file(row.attempt_id, file.name, data)
            except (PlatformRefused, OSError) as refusal:
                code = refusal.code if isinstance(refusal, PlatformRefused) else "file_unreadable"
                self._spool.refused(self._now(), code, f"{row.attempt_id} {file.name}")
                log.warning("the file %r of %s stays here: %s", file.name, row.attempt_id, code)
            sent.append(file.name)
            self._spool.change(row.attempt_id, files_sent=json.dumps(sent))

    # -- states and usage -------------------------------------------------------------

    def _states(self) -> bool:
        events = self._spool.owed_events()
        if not events:
            return False
        answer = self._client.states(events)
        for refusal in answer.refused:
            self._state_refused(refusal)
        taken = answer.states()
        settled = [one for one in events if (one["attempt_id"], one["sequence"]) in taken]
        if not settled:
            raise PlatformUnavailable("the answer names none of the states that were sent")
        with self._spool.transaction():
            self._spool.events_settled(settled)
        return True

    def _state_refused(self, refusal: Refusal) -> None:
        about = f"{refusal.attempt_id} state {refusal.sequence}"
        self._spool.refused(self._now(), refusal.code, about)
        log.warning("the platform refused %s: %s", about, refusal.code)
        if refusal.attempt_id is not None and refusal.code in _GIVEN_UP:
            self._keeper.disown(str(refusal.attempt_id))

    def _usage(self) -> bool:
        records = self._spool.owed_usage()
        if not records:
            return False
        answer = self._client.usage(records)
        refused = {str(one.record_id): one for one in answer.refused}
        accepted = {str(one) for one in answer.accepted}
        reached = 0
        for record in records:
            refusal = refused.get(record["record_id"])
            if refusal is None and record["record_id"] not in accepted:
                break
            if refusal is not None and not self._usage_refused(refusal, record, records):
                break
            reached = record["sequence"]
        if reached:
            with self._spool.transaction():
                self._spool.usage_settled(reached)
        if not reached:
            raise PlatformUnavailable("none of the usage that was sent was taken")
        return bool(reached == records[-1]["sequence"])

    def _usage_refused(
        self, refusal: Refusal, record: dict[str, Any], records: Sequence[dict[str, Any]]
    ) -> bool:
        """Whether the chain can go on past a refused record."""
        about = f"usage {record['sequence']} of {record['attempt_id']}"
        self._spool.refused(self._now(), refusal.code, about)
        log.error("the platform refused %s: %s", about, refusal.code)
        if refusal.code == "usage_sequence_gap":
            expected = refusal.expected or refusal.facts.get("expected")
            if isinstance(expected, int) and expected < records[0]["sequence"]:
                with self._spool.transaction():
                    self._spool.usage_wanted_from(expected)
            return False
        # A good link with doubtful content keeps its place in the chain; a bad link stops it.
        return refusal.code not in (
            "usage_chain_broken", "usage_signature_wrong", "usage_record_unreadable",
            "usage_record_differs",
        )  # fmt: skip

    # -- the end of an attempt ----------------------------------------------------------

    def _close_settled(self) -> None:
        """Forget what the engine kept, once all of it is with the platform."""
        settled = self._spool.settled()
        if not settled:
            return
        refs = {row.ref: row for row in settled if row.ref}
        try:
            seen = self._engine.observe(list(refs)) if refs else {}
            dying = {ref for ref, one in seen.items() if not one.state.final}  # disowned
            if gone := [ref for ref in refs if ref not in dying]:
                self._engine.forget(gone)
        except EngineUnavailable as error:
            log.warning("the engine does not answer: %s", error)
            return
        with self._spool.transaction():
            for row in settled:
                if row.ref not in dying or not row.ref:
                    closed = self._now().isoformat()
                    self._spool.change(row.attempt_id, phase="closed", closed_at=closed)
