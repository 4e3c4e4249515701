"""How a store comes to the shape this version needs: numbered SQL files, each run once, all under one lock."""
