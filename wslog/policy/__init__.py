"""What the reconnect policy should be: outages estimated from logs, policies replayed on them, a schedule recommended."""
