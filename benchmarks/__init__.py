"""The benchmark suite: a load generator that uses only Bellcast's public surface.

It starts `bellcast serve` as a child process, sends HTTP and WebSocket traffic to it, and reads CPU time and memory from
/proc, so it needs Linux. It belongs to the checkout, not to the package."""
