"""Workers of which some reach the broker through a proxy."""

from dataclasses import replace

from tests.chaos.compare import differing_changes, differing_state, read_committed
from tests.chaos.schedule import SESSION_S
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, replayed
from tests.topologies.running import Running

QUICK = {"CDP_SESSION_TIMEOUT": str(SESSION_S), "CDP_REBALANCE_TIMEOUT": str(SESSION_S)}


class NetworkRunning(CdpRunning):
    """Some workers reach the broker through the proxy, some do not."""

    def start_through(self, kafka):
        direct = self.settings
        self.settings = replace(direct, broker=kafka.address)
        try:
            return self.start_cdp(**QUICK)
        finally:
            self.settings = direct

    async def caught_up(self, total):
        return await Running.caught_up(self, total)

    async def has_written(self, count):
        return await self.count("memberships") >= count

    def keep_up(self, kafka):
        """Start the newest worker again if it has exited, as an operator does."""
        if self.workers[-1].poll() is not None:
            assert self.workers[-1].returncode == 3, self.log_of(self.workers[-1])
            self.start_through(kafka)


async def equals_replay(ran, lines, until):
    expected = replayed(EVERYTHING, lines, until)
    brokers, topic = ran.settings.brokers, ran.settings.topic
    changes = await read_committed(brokers, topic("memberships"))
    assert differing_changes([value for _, value in changes], expected) == []
    state = await read_committed(brokers, topic("membership-state"))
    assert differing_state(state, expected) == []
