"""Webhooks: a job's owner is told, by a signed POST to a listed host, that the job is over."""
