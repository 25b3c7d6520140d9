"""`batchbridge jobs`: jobs of a running system, by HTTP."""
