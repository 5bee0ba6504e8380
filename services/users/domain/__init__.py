"""What users decides, without IO: who a person is (the fold of the facts about them), which modules they need, and what a decision of
seats means for them. Sources: rules.md A7 A19 A20 A21 M4 M6 E2 E3 E4; design.md sections 4 and 5.
"""
