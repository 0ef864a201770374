"""Audiences and customer journeys over an event stream, exact to the millisecond.

If you are here to read the code, start with:

* ``core/engine/evaluation.py``: the engine; what a batch, or passing time, does to one profile.
* ``core/criteria/event_count.py``: counting in windows, with state bounded by the threshold.
* ``core/plan/plan.py``: definitions as an index, from an event to the audiences it can flip.
* ``definitions/compile.py``: from YAML to that plan, and every problem on the way.
* ``partition/processor.py``: all that one Kafka partition decides, with no Kafka in it.
* ``kafka/runtime/partition_task.py``: the work of one partition in a worker, step by step.
* ``../topologies/profiles.py``: the flow as a picture.

Where single things are decided:

* a window's edge: ``core/model/windows.py``;
* a transaction: ``kafka/commit/exactly_once.py``;
* what is sent to a partner again, and when: ``sinks/http/sender.py``;
* a backfill: ``partition/backfill.py``, and when it reads: ``kafka/runtime/backfill_driver.py``;
* a change of definitions: ``partition/definition_rollout.py``.

The command line is the interface (docs/commands.md); modules may change between releases.
"""
