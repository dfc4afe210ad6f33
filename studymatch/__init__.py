"""The product: people, the matcher that pairs them, and the hall in which they are.

`rules` says what may happen, `person` is one user's actor, `matcher` decides who meets whom, `pairing` is one
session between two actors, `recording` writes down what came of it. `hall` puts them together. Nothing here
knows of Quart, sockets or HTML.
"""
