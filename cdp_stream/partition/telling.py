"""What one partition tells: changes and rejects as the records that go out."""

from __future__ import annotations

from collections.abc import Sequence

from cdp_stream.core.change import ADD
from cdp_stream.core.plan import InForce, Plan
from cdp_stream.core.telling import ATTRIBUTE_UPDATE, Emission, Told
from cdp_stream.core.transition import Catalog, Wired
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.limits import MESSAGE_BYTES
from cdp_stream.formats.membership import encode_change, mpid_key, state_key
from cdp_stream.formats.output import OutputEncoder
from cdp_stream.formats.rejects import Reject, reject_headers
from cdp_stream.partition.effects import Effects, Record
from cdp_stream.partition.sizes import AudienceSizes

__all__ = ["Telling"]


class Telling:
    """Puts into effects what is told.

    Args:
        topic: the input topic, for rejects.
        partition: its number.
        sizes: moved by the changes that are told.
    """

    def __init__(self, topic: str, partition: int, sizes: AudienceSizes) -> None:
        self._topic = topic
        self._partition = partition
        self._sizes = sizes
        self._account_id = ""
        self._encoder = OutputEncoder("")

    def speak_for(self, plan: Plan) -> None:
        """Tell under the definitions of this plan from now on."""
        self._account_id = plan.account_id
        self._encoder = OutputEncoder(plan.account_id)

    def changes(self, changes: Emission, effects: Effects) -> None:
        """Tell the changes, and the connections what is forwarded of them."""
        state: dict[bytes, bytes | None] = {}
        counts = effects.changes
        self._sizes.change(changes)
        for change in changes:
            message = encode_change(change, self._account_id)
            effects.memberships.append((mpid_key(change.mpid), message))
            state[state_key(change.audience_id, change.mpid)] = (
                message if change.action == ADD else None
            )
            counted = (change.audience_id, change.action)
            counts[counted] = counts.get(counted, 0) + 1
        effects.state.extend(state.items())
        for told in changes.told:
            output, encoded = told.connection.output, self._encoder.encode(told)
            if len(encoded) <= MESSAGE_BYTES:
                effects.outputs.append((output, mpid_key(told.change.mpid), encoded))
            else:
                self._without_attributes(told, effects)
        effects.unidentified = changes.unidentified

    def _without_attributes(self, told: Told, effects: Effects) -> None:
        """Tell without its shared attributes what is too large with them.

        Of an attribute update nothing is left then. Nor is anything told where the settings of the
        connection alone are too large.
        """
        output = told.connection.output
        effects.oversized[output] = effects.oversized.get(output, 0) + 1
        if told.change.action == ATTRIBUTE_UPDATE:
            return
        encoded = self._encoder.encode(told._replace(attributes={}))
        if len(encoded) <= MESSAGE_BYTES:
            effects.outputs.append((output, mpid_key(told.change.mpid), encoded))

    def rejects(self, record: Record, rejects: Sequence[Reject], effects: Effects) -> int:
        """Tell what of a record could not be used; returns how many bytes of it are handed back."""
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
        """Tell the connections whose audience was deleted, behind all that they were told of it."""
        for wired, audience in ended:
            message = self._encoder.encode_audience_delete(wired, audience, state.time)
            effects.outputs.append((wired.output, b"", message))
        now = state.catalog.connections
        again = {wired.id for wired, _audience in ended}
        effects.started = [name for name in now if name in again or name not in before.connections]
        effects.stopped = [name for name in before.connections if name not in now]
