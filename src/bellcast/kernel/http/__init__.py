"""HTTP without operations: the parts of requests and responses that every room uses."""
