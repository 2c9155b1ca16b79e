"""Pure functions of (state, input, content), with the same results in agent, server and CLI."""
