"""The product: people, the matcher that pairs them, and the hall that holds their actors.

`rules` says what may happen, `person` is one user's actor, `matcher` pairs people, `pairing` is one session
between two actors, `recording` stores sessions in PostgreSQL. `hall` starts and owns all actors. Nothing here
depends on Quart, sockets or HTML.
"""
