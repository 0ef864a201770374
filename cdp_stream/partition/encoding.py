"""What one partition sends: membership changes and messages, encoded into effects."""

from __future__ import annotations

from collections.abc import Sequence

from cdp_stream.core.engine.migration import Catalog, Wired
from cdp_stream.core.model.change import ADD
from cdp_stream.core.outputs.messages import ATTRIBUTE_UPDATE, Emission, OutputMessage
from cdp_stream.core.plan.plan import InForce
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.limits import MESSAGE_BYTES
from cdp_stream.formats.membership import encode_change, mpid_key, state_key
from cdp_stream.partition.active_definitions import ActiveDefinitions
from cdp_stream.partition.audience_sizes import AudienceSizes
from cdp_stream.partition.effects import Effects

__all__ = ["EffectsEncoder"]


class EffectsEncoder:
    """Writes changes and messages into effects.

    Args:
        active: the definitions in force.
        sizes: moved by the changes that are written.
    """

    def __init__(self, active: ActiveDefinitions, sizes: AudienceSizes) -> None:
        self._active = active
        self._sizes = sizes

    def changes(self, changes: Emission, effects: Effects) -> None:
        """Write the changes, and the messages that connections forward of them."""
        state: dict[bytes, bytes | None] = {}
        counts, account_id = effects.changes, self._active.engine.plan.account_id
        self._sizes.change(changes)
        for change in changes:
            value = encode_change(change, account_id)
            effects.memberships.append((mpid_key(change.mpid), value))
            state[state_key(change.audience_id, change.mpid)] = (
                value if change.action == ADD else None
            )
            counted = (change.audience_id, change.action)
            counts[counted] = counts.get(counted, 0) + 1
        effects.state.extend(state.items())
        for message in changes.messages:
            output, encoded = message.connection.output, self._active.encoder.encode(message)
            if len(encoded) <= MESSAGE_BYTES:
                effects.outputs.append((output, mpid_key(message.change.mpid), encoded))
            else:
                self._without_attributes(message, effects)
        effects.unidentified = changes.unidentified

    def _without_attributes(self, message: OutputMessage, effects: Effects) -> None:
        """Send a message that is too large without the attributes that it shares.

        An attribute update is not sent then, nor a message whose settings alone are too large.
        """
        output = message.connection.output
        effects.oversized[output] = effects.oversized.get(output, 0) + 1
        if message.change.action == ATTRIBUTE_UPDATE:
            return
        encoded = self._active.encoder.encode(message._replace(attributes={}))
        if len(encoded) <= MESSAGE_BYTES:
            effects.outputs.append((output, mpid_key(message.change.mpid), encoded))

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
