"""Every SQL statement of users: one module for each table or pair of tables."""
