"""The edge: the Quart-trio app, the WebSocket, the page and the command line.

`cli` reads the settings and `run` puts everything together. `reception` takes WebSockets in, and a
`conversation` is what is said on one of them. `server` is the HTTP and WebSocket server below.
"""
