"""The edge: the Quart-trio app, the WebSocket, the page and the command line.

`cli` reads the settings and `run` starts everything. `reception` accepts WebSockets, and a `conversation`
handles the frames of one of them. `server` is the HTTP and WebSocket server below.
"""
