"""Inner loops compiled by Numba. Imported only where they run: the client has no Numba."""
