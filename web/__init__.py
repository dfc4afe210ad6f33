"""The edge: the Quart-trio app, the WebSocket, the page, the server, the command line.

The composition root: `cli` reads the settings, `run` puts hall and server together.
"""
