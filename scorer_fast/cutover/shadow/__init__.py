"""Shadow: the host answers, and the fast path is compared with what it answered and wrote."""
