"""Pure rules and types: no IO, no clock, and no ids are created here."""
