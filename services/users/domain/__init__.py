"""The rules of users, without IO: what the facts about a person make of the person, which modules the person requires, and what a decision
of seats changes. Sources: rules.md A7 A19 A20 A21 M4 M6 E2 E3 E4; design.md sections 4 and 5.
"""
