"""What a caller of Batchbridge installs: `async_client.AsyncClient` and `client.Client`."""
