"""Compute what is owed, as pure functions of the events: no IO, no clock, and no ids are created here.

calendar   local days, periods with their anchor day kept
money      exact fractions, rounding half up, tax per category
ledger     the licences of a module in a period as lots, and what a change of them costs
quote      prices an offer, or says why there is none
history    the events of one tenant, folded
account    every charge and document that the events call for; what is missing of them; rebuild
waiting    charges and credits that are on no document yet
invoices   the lines of a document, and whether it is needed
"""
