"""ACME (RFC 8555): messages, problems, the order's state machine, signatures, and one method per verb."""
