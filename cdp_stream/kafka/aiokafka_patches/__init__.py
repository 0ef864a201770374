"""Where aiokafka 0.14.0 is not enough: each module changes one thing inside it.

Start reading at ``fetch_observer.py``.
"""
