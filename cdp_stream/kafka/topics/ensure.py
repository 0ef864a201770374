"""Creates missing topics, and checks existing ones.

In a topic with another partition count, a profile's rows and changes would not be in the partition
of its events; another cleanup policy would silently lose rows or changes. So both are checked at
every start, and a worker does not run with what it cannot repair.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidConfigurationError,
    TopicAlreadyExistsError,
    for_code,
)

from cdp_stream.errors import BrokerError, UsageError, counted
from cdp_stream.formats.limits import CLOCK_SKEW_MS
from cdp_stream.kafka.clients.admin import (
    CONNECT_S,
    admin_client,
    partition_counts,
    topic_settings,
)
from cdp_stream.kafka.topics.catalog import (
    DEFINITIONS,
    MOST_AHEAD,
    SINK_TOPICS,
    TOPICS,
    TopicPlan,
    output_topic,
    rejected_topic,
)
from cdp_stream.observability.log import log
from cdp_stream.settings import Settings

__all__ = [
    "check_prefix",
    "definitions_topic_is_there",
    "ensure_definitions_topic",
    "ensure_output_topics",
    "ensure_sink_topics",
    "ensure_topics",
    "warn_of_future_records",
]

_INPUT, _OUTPUTS = TOPICS[:1], TOPICS[1:]


async def ensure_topics(
    settings: Settings,
    outputs: Collection[str] = (),
    *,
    make: bool = True,
    sinks: bool = False,
) -> int:
    """Create missing topics, and check existing ones.

    Args:
        settings: Which broker, which prefix.
        outputs: Ids of the outputs whose topics are included.
        make: Whether to create any; otherwise a missing one is an error.
        sinks: Whether the topics of sinks are included.

    Returns:
        How many partitions they have.

    Raises:
        BrokerError: The broker does not answer, refuses, or has a topic that does not fit.
    """
    async with admin_client(settings) as admin:
        further = tuple(map(output_topic, outputs))
        if sinks:
            further += (*map(rejected_topic, outputs), *SINK_TOPICS)
        return await _ensure(admin, settings, further, make=make)


async def ensure_output_topics(
    settings: Settings, outputs: Collection[str]
) -> dict[str, BrokerError]:
    """Create missing topics of outputs, and check existing ones.

    An error of one output must not affect another, so errors are returned.

    Args:
        settings: Which broker, which prefix; it has the topics of the profiles topology.
        outputs: Their ids.

    Returns:
        The error of each output whose own topics are wrong, by its id.

    Raises:
        BrokerError: The broker does not answer, or refuses to show topics at all.
    """
    plans = {output: (output_topic(output), rejected_topic(output)) for output in outputs}
    wanted = [plan for own in plans.values() for plan in own]
    async with admin_client(settings) as admin:
        there = await partition_counts(admin)
        partitions = there.get(settings.topic(_INPUT[0].suffix), settings.partitions)
        missing = _missing(settings, wanted, there)
        wrong: dict[str, BrokerError] = {}
        if missing:
            wrong = await _not_created(admin, settings, missing, partitions)
            made = {settings.topic(plan.suffix) for plan in missing} - wrong.keys()
            there = await _wait_for(admin, made)
        known = [plan for plan in wanted if settings.topic(plan.suffix) not in wrong]
        wrong |= await _wrong_cleanups(admin, settings, known)
    for plan in known:
        name = settings.topic(plan.suffix)
        if there[name] != partitions:
            wrong[name] = _wrong_count_of_output(settings, name, there[name], partitions)
    found: dict[str, BrokerError] = {}
    for output, own in plans.items():
        names = [settings.topic(plan.suffix) for plan in own]
        if (error := next((wrong[name] for name in names if name in wrong), None)) is not None:
            then = f"{error.next_step}, then resume output {output}"
            found[output] = BrokerError(error.message, then)
    return found


async def ensure_definitions_topic(settings: Settings) -> None:
    """Create the topic of definitions if it is missing, check it if it exists.

    Raises:
        BrokerError: The broker does not answer, refuses, or has one that does not fit.
    """
    async with admin_client(settings) as admin:
        name = settings.topic(DEFINITIONS.suffix)
        there = await _create_missing(admin, settings, [DEFINITIONS], 1)
        if there[name] != 1:
            raise BrokerError(
                f"{name} has {counted(there[name], 'partition')}, but must have 1",
                "delete it and apply the definitions again, or use another --prefix",
            )
        _refuse(await _wrong_cleanups(admin, settings, (DEFINITIONS,)))


async def definitions_topic_is_there(settings: Settings) -> bool:
    """Whether the topic of definitions exists; otherwise nothing can have been applied.

    Raises:
        BrokerError: The broker does not answer, or refuses.
    """
    async with admin_client(settings) as admin:
        return settings.topic(DEFINITIONS.suffix) in await partition_counts(admin)


async def check_prefix(settings: Settings) -> None:
    """Check that there is an input topic to publish to: a misspelt prefix must not become a system
    of its own.

    Raises:
        UsageError: There is none.
        BrokerError: The broker does not answer, or refuses.
    """
    async with admin_client(settings) as admin:
        name = settings.topic(_INPUT[0].suffix)
        if name not in await partition_counts(admin):
            raise UsageError(
                f"there is no topic {name} on {settings.broker}: nothing has run with the prefix "
                f"`{settings.prefix}`",
                "name the right prefix with --prefix; or create its topics with --create, or "
                "by starting a worker",
            )


async def ensure_sink_topics(settings: Settings) -> list[str]:
    """Create the missing topics that sinks share, and no others; not where nothing has run.

    Returns:
        The ids of the outputs that have a topic.

    Raises:
        UsageError: No topic begins with the prefix.
        BrokerError: The broker does not answer, or refuses.
    """
    async with admin_client(settings) as admin:
        there = await partition_counts(admin)
        own = {plan.suffix for plan in (DEFINITIONS, *TOPICS, *SINK_TOPICS)}
        if not any(settings.topic(suffix) in there for suffix in own):
            raise UsageError(
                f"there is no system with the prefix `{settings.prefix}` on {settings.broker}",
                "name the prefix of the one that you mean with --prefix; or apply definitions, or "
                "start a worker, first",
            )
        await _create_missing(admin, settings, SINK_TOPICS, 1)
    prefix = settings.topic("output.")
    found = {name.removeprefix(prefix) for name in there if name.startswith(prefix)}
    return sorted(found - {f"{output}.rejected" for output in found})


async def _ensure(
    admin: AIOKafkaAdminClient,
    settings: Settings,
    outputs: tuple[TopicPlan, ...],
    *,
    make: bool,
) -> int:
    there = await partition_counts(admin)
    events = settings.topic("events")
    partitions = there.get(events, settings.partitions)
    # The input first: another worker may just have created it with another number of partitions,
    # and the other topics get as many as it has.
    for group in (_INPUT, (*_OUTPUTS, *outputs)):
        if not make and (missing := _missing(settings, group, there)):
            raise BrokerError(
                f"{settings.topic(missing[0].suffix)} is not there: no worker has run with this "
                "prefix",
                "name the prefix of the system that you mean with --prefix",
            )
        there = await _create_missing(admin, settings, group, partitions)
        partitions = there[events]
    for plan in (*TOPICS, *outputs):
        name = settings.topic(plan.suffix)
        wanted = plan.partitions or partitions
        if there[name] != wanted:
            of_events = f"but {events} has" if plan.partitions is None else "but must have"
            raise BrokerError(
                f"{name} has {counted(there[name], 'partition')}, {of_events} {wanted}",
                "if cdp repartition was interrupted, run it again with the same --partitions; else "
                f"give {name} {counted(wanted, 'partition')}, or start afresh with another "
                "--prefix",
            )
    _refuse(await _wrong_cleanups(admin, settings, (*TOPICS, *outputs)))
    return partitions


def _missing(
    settings: Settings, plans: Sequence[TopicPlan], there: Mapping[str, int]
) -> list[TopicPlan]:
    return [plan for plan in plans if settings.topic(plan.suffix) not in there]


async def _create_missing(
    admin: AIOKafkaAdminClient, settings: Settings, plans: Sequence[TopicPlan], partitions: int
) -> dict[str, int]:
    """Create missing topics; returns the partition count of every topic that exists.

    Raises:
        BrokerError: One cannot be created.
    """
    there = await partition_counts(admin)
    missing = _missing(settings, plans, there)
    if not missing:
        return there
    _refuse(await _not_created(admin, settings, missing, partitions))
    return await _wait_for(admin, {settings.topic(plan.suffix) for plan in missing})


def _refuse(wrong: Mapping[str, BrokerError]) -> None:
    for error in wrong.values():
        raise error


async def _not_created(
    admin: AIOKafkaAdminClient, settings: Settings, missing: list[TopicPlan], partitions: int
) -> dict[str, BrokerError]:
    """Create topics; returns the error of each that cannot be created, by its name."""
    errors = await _create(admin, settings, missing, partitions)
    again = [
        replace(plan, where_known={})
        for plan in missing
        if plan.where_known
        and for_code(errors[settings.topic(plan.suffix)][0]) is InvalidConfigurationError
    ]
    if again:
        errors |= await _create(admin, settings, again, partitions)
    wrong: dict[str, BrokerError] = {}
    for name, (code, *detail) in errors.items():
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another worker was quicker
            reason = next((text for text in detail if text), error.__name__)
            wrong[name] = BrokerError(
                f"{name} cannot be created: {reason}", "create it by hand, or as allowed"
            )
    made = {settings.topic(plan.suffix): plan for plan in missing}
    for name in wrong:
        del made[name]
    if made:
        counts = {name: plan.partitions or partitions for name, plan in made.items()}
        compacted = [name for name, plan in made.items() if plan.cleanup == "compact"]
        log("topics_created", partitions=counts, compacted=compacted,
            replication=settings.replication)  # fmt: skip
    return wrong


async def _create(
    admin: AIOKafkaAdminClient, settings: Settings, plans: list[TopicPlan], partitions: int
) -> dict[str, list[Any]]:
    """Create topics; returns the error code and message of each, by its name."""
    response = await admin.create_topics(
        [
            NewTopic(
                name=settings.topic(plan.suffix),
                num_partitions=plan.partitions or partitions,
                replication_factor=settings.replication,
                topic_configs={
                    "cleanup.policy": plan.cleanup, **plan.settings, **plan.where_known,
                },
            )
            for plan in plans
        ]
    )  # fmt: skip
    return {name: rest for name, *rest in response.topic_errors}


async def _wait_for(admin: AIOKafkaAdminClient, names: set[str]) -> dict[str, int]:
    """Wait until all of a broker's answers include topics that were just created."""
    async with asyncio.timeout(CONNECT_S):
        while True:
            there = await partition_counts(admin)
            if names <= there.keys():
                return there
            await asyncio.sleep(0.1)


async def _wrong_cleanups(
    admin: AIOKafkaAdminClient, settings: Settings, plans: Sequence[TopicPlan]
) -> dict[str, BrokerError]:
    """What is wrong with the cleanup policies of topics, by their names."""
    wanted = {settings.topic(plan.suffix): plan.cleanup for plan in plans}
    wrong: dict[str, BrokerError] = {}
    for name, has in (await topic_settings(admin, wanted)).items():
        policy = has.get("cleanup.policy")
        if policy is None or policy == wanted[name]:
            continue
        wrong[name] = BrokerError(
            f"{name} has cleanup.policy={policy}, but must have {wanted[name]}",
            f"kafka-configs --alter --topic {name} --add-config cleanup.policy={wanted[name]}",
        )
    return wrong


async def warn_of_future_records(settings: Settings) -> None:
    """Log a warning if brokers accept input records that are far ahead of their clock.

    There is none about a broker that does not know the setting.

    Raises:
        BrokerError: The broker does not answer, or refuses.
    """
    name = settings.topic(_INPUT[0].suffix)
    async with admin_client(settings) as admin:
        has = (await topic_settings(admin, [name])).get(name, {})
    most = has.get(MOST_AHEAD)
    takes_any = most is not None and int(most) > CLOCK_SKEW_MS
    if takes_any and has.get("message.timestamp.type") != "LogAppendTime":
        log("topic_accepts_future_records", level=logging.WARNING, topic=name,
            reason=f"{MOST_AHEAD} is {most}: a producer's wrong clock moves its profiles into the "
                   "future",
            next=f"kafka-configs --alter --topic {name} --add-config {MOST_AHEAD}={CLOCK_SKEW_MS}",
        )  # fmt: skip


def _wrong_count_of_output(settings: Settings, name: str, has: int, wanted: int) -> BrokerError:
    """The error for an output's topic with a wrong count, which somebody else has created."""
    own, events = counted(has, "partition"), settings.topic(_INPUT[0].suffix)
    return BrokerError(
        f"{name} has {own}, but {events} has {wanted}",
        f"kafka-topics --alter --topic {name} --partitions {wanted}"
        if has < wanted
        else f"check that nothing in {name} is needed any more, delete it (it is created again)",
    )
