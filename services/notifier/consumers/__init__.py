"""Message handlers: one module for each consumer group.

Both groups read the same topics. `HANDLED` and `IGNORED` of a module name, for each topic, the event types that its group handles and those
that it ignores; together they are all types of the topic.
"""
