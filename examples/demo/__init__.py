"""The data and the traffic of `bellcast demo`: a busy server, as months of use would leave it."""
