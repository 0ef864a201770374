"""Where aiokafka 0.14.0 is not enough: the only package that reaches into its private parts.

Each module changes or reads one thing, and documents why, and what release of aiokafka would make
it unnecessary; the tests of the same name fail when aiokafka changes that thing.

Start reading at ``fetch_observer.py``.
"""
