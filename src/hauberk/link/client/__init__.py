"""The agent's side of the link: identity, enrolment, transport, spool, sender."""
