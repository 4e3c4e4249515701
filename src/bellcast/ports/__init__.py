"""Interfaces to databases, brokers and other servers. One contract suite per port runs on every adapter."""
