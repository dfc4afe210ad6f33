"""The product: the five states, the waiting pool, the people, the matcher, the ledger, the store.

Read `lifecycle` first (what may happen), then `user` (how it happens to one person) and `matcher` (how
two people meet). `hall` puts them together. Nothing here knows of Quart, sockets or HTML.
"""
