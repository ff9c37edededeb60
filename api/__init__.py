"""The door: commands in, views out, over HTTP."""

#: Where commands that the API publishes say they come from.
SOURCE = "/api"
