"""Message handlers of the one consumer group of users: one module for each topic.

`HANDLED` and `IGNORED` of a module name, for each topic, the event types that it handles and those that it ignores; together they are all
types of the topic.
"""

from typing import Final

GROUP: Final = "users"
