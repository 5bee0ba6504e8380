"""Dead letters: messages that could not be processed, kept with their reasons and original bytes."""
