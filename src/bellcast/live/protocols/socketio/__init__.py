"""Socket.IO v5 over Engine.IO v4, as its stock clients speak it. No I/O."""
