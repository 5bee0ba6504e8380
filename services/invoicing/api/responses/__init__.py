"""The bodies of responses, a module for each router."""
