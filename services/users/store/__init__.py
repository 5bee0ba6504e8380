"""All queries of users, the tenant first. Each takes part in the caller's transaction."""
