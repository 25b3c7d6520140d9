"""Jobs over HTTP: submitted, looked at, fetched, cancelled."""
