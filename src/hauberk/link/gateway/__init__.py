"""The server's side of the link: identities, routes, bounds."""
