"""One module for each group of use cases; each function is one transaction."""
