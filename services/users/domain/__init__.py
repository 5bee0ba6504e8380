"""The rules of users, without IO: what the facts about a person make of the person, which modules the person requires, and what a decision
of seats changes. The rules A7 A19 A20 A21 M4 M6 E2 E3 E4 are in docs/rules.md.
"""
