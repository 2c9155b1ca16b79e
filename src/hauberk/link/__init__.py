"""The link between agent and server: wire form, agent's client, server's gateway."""
