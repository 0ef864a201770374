"""What one partition sends: changes, messages and rejects, encoded into effects."""

from __future__ import annotations

from collections.abc import Sequence

from cdp_stream.core.engine.migration import Catalog, Wired
from cdp_stream.core.model.change import ADD
from cdp_stream.core.outputs.messages import ATTRIBUTE_UPDATE, Emission, Told
from cdp_stream.core.plan.plan import InForce
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.limits import MESSAGE_BYTES
from cdp_stream.formats.membership import encode_change, mpid_key, state_key
from cdp_stream.formats.rejects import Reject, reject_headers
from cdp_stream.partition.active_definitions import ActiveDefinitions
from cdp_stream.partition.audience_sizes import AudienceSizes
from cdp_stream.partition.effects import Effects, Record

__all__ = ["EffectsEncoder"]


class EffectsEncoder:
    """Writes records into effects.

    Args:
        topic: the input topic, for rejects.
        partition: its number.
        active: the definitions in force.
        sizes: moved by the changes that are written.
    """

    def __init__(
        self, topic: str, partition: int, active: ActiveDefinitions, sizes: AudienceSizes
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._active = active
        self._sizes = sizes

    def changes(self, changes: Emission, effects: Effects) -> None:
        """Write the changes, and the messages that connections forward of them."""
        state: dict[bytes, bytes | None] = {}
        counts, account_id = effects.changes, self._active.engine.plan.account_id
        self._sizes.change(changes)
        for change in changes:
            message = encode_change(change, account_id)
            effects.memberships.append((mpid_key(change.mpid), message))
            state[state_key(change.audience_id, change.mpid)] = (
                message if change.action == ADD else None
            )
            counted = (change.audience_id, change.action)
            counts[counted] = counts.get(counted, 0) + 1
        effects.state.extend(state.items())
        for told in changes.told:
            output, encoded = told.connection.output, self._active.encoder.encode(told)
            if len(encoded) <= MESSAGE_BYTES:
                effects.outputs.append((output, mpid_key(told.change.mpid), encoded))
            else:
                self._without_attributes(told, effects)
        effects.unidentified = changes.unidentified

    def _without_attributes(self, told: Told, effects: Effects) -> None:
        """Send a message that is too large without the attributes that it shares.

        An attribute update is not sent then, nor a message whose settings alone are too large.
        """
        output = told.connection.output
        effects.oversized[output] = effects.oversized.get(output, 0) + 1
        if told.change.action == ATTRIBUTE_UPDATE:
            return
        encoded = self._active.encoder.encode(told._replace(attributes={}))
        if len(encoded) <= MESSAGE_BYTES:
            effects.outputs.append((output, mpid_key(told.change.mpid), encoded))

    def rejects(self, record: Record, rejects: Sequence[Reject], effects: Effects) -> int:
        """Write what of a record could not be used; returns how many bytes that is."""
        for reject in rejects:
            headers = reject_headers(reject, self._topic, self._partition, record.offset)
            effects.rejected.append((record.key, reject.value, headers))
        return sum(len(reject.value or b"") for reject in rejects)

    def connections(
        self,
        before: Catalog,
        state: PartitionDefinitions,
        ended: Sequence[tuple[Wired, InForce]],
        effects: Effects,
    ) -> None:
        """Write a message to each connection whose audience was deleted, behind all earlier ones,
        and list the connections that started and stopped.
        """
        for wired, audience in ended:
            message = self._active.encoder.encode_audience_delete(wired, audience, state.time)
            effects.outputs.append((wired.output, b"", message))
        now = state.catalog.connections
        again = {wired.id for wired, _audience in ended}
        effects.started = [name for name in now if name in again or name not in before.connections]
        effects.stopped = [name for name in before.connections if name not in now]
