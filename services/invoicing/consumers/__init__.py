"""Message handlers of the consumer group `invoicing`: one module for each topic that it reads.

`HANDLED` and `IGNORED` of a module name the event types of its topic that the group handles and those that it ignores; together they are
all types of the topic.
"""

GROUP = "invoicing"
