"""Fuzzing of every parser with random and mutated input: one module per parser, seeded with inputs that broke it in the past."""
