"""A worker with the counting processor: ``python -m tests.kafka.counting_worker name=value``."""

import sys

from cdp_stream.errors import CdpError
from cdp_stream.kafka.runtime.process import run_worker
from cdp_stream.settings import load_settings
from tests.kafka.counting import CountingProcessor
from topologies.profiles import create_app


def main() -> int:
    flags = dict(argument.split("=", 1) for argument in sys.argv[1:])
    settings, sources = load_settings(flags, {})
    try:
        return run_worker(
            settings,
            lambda in_force, partitions, metrics: create_app(
                in_force, CountingProcessor, partitions=partitions, metrics=metrics
            ),
            may_fall_back=("guarantee", "default") in {(s.name, s.source) for s in sources},
        )
    except CdpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
