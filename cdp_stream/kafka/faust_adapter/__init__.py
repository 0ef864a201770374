"""What Faust does here: it joins the consumer group, assigns partitions and runs one agent.

Start reading at ``app.py``.
"""
