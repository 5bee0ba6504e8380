"""The reader: the session in the cookie, the access token in memory, and the tokens of forms."""
