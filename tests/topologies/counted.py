"""Records for workers with the counting processor, and what they make of them."""

from collections.abc import Awaitable, Callable

from tests.topologies.running import PARTITIONS, Running


def numbered(total: int, start: int = 0) -> list[tuple[int, bytes, bytes]]:
    """Records of keys that stay in their partitions."""
    return [(n % PARTITIONS, b"key-%d" % (n % 97 * PARTITIONS + n % PARTITIONS), b"%d" % n)
            for n in range(start, start + total)]  # fmt: skip


def outputs_of(records: list[tuple[int, bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    """The memberships that come of records."""
    counts: dict[bytes, int] = {}
    outputs = set()
    for _, key, value in records:
        counts[key] = counts.get(key, 0) + 1
        outputs.add((key, b"%d:%s" % (counts[key], value)))
    return outputs


def counts_of(records: list[tuple[int, bytes, bytes]]) -> dict[bytes, bytes]:
    """The state that comes of records."""
    counts: dict[bytes, int] = {}
    for _, key, _ in records:
        counts[key] = counts.get(key, 0) + 1
    return {key: b"%d" % count for key, count in counts.items()}


async def latest_state(ran: Running) -> dict[bytes, bytes]:
    """The newest count of each key."""
    read = await ran.read("membership-state")
    newest = {record.key: record.value for records in read.values() for record in records}
    return {key.removeprefix(b"count:"): value for key, value in newest.items()}


async def published_once(ran: Running, records: list[tuple[int, bytes, bytes]]) -> None:
    """Every output once, the newest state, and rows, position and outputs of the same records."""
    values = await ran.values()
    assert set(values.values()) == {1}
    assert set(values) == outputs_of(records)
    counts = counts_of(records)
    assert await latest_state(ran) == counts
    for number, found in (await ran.read("profiles-changelog")).items():
        rows = {record.key: record.value for record in found}
        rows.pop(b"~input")
        position = int(rows.pop(b"~partition").split(b":")[1])
        assert position + 1 == (await ran.committed())[number]
        assert rows == {key: count for key, count in counts.items() if key in rows}


def getting_to(ran: Running, outputs: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many outputs were written; a worker that has ended is not waited for."""

    async def reached() -> bool:
        newest = ran.workers[-1]
        assert newest.poll() is None, ran.log_of(newest)
        return await ran.count("memberships") >= outputs

    return reached
