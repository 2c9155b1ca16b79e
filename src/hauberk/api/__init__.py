"""The HTTP API and the console's files: routes by noun, access, OpenAPI."""
