"""How many messages one transaction takes."""

FIRST = 16
SLOW_SECONDS = 10.0


class BatchSize:
    """Few messages at first, more as long as they are handled fast, and fewer if not.

    The watchdog ends a process that makes no progress. If a transaction took as long as that, the process would begin it again after each
    restart, and never get on.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.messages = min(FIRST, most)

    def took(self, messages: int, seconds: float, *, committed: bool = True) -> None:
        """Learn from a transaction. One that failed fast does not say that more messages would be handled fast."""
        if seconds > SLOW_SECONDS:
            self.messages = max(1, min(messages, self.messages) // 4)
        elif committed and seconds < SLOW_SECONDS / 4 and messages >= self.messages:
            self.messages = min(self.messages * 2, self._most)
