"""From a host, an archive or a folder to one layout on this disk, whole or not at all."""
