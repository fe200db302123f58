"""HTTP to a host: errors, retries, downloads, uploads."""
