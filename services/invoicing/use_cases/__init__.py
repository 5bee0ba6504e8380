"""One module for each group of use cases; each function takes part in one transaction."""
