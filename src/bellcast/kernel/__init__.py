"""What knows no subject of the product: the database engines, HTTP, jobs, brokers, time, identifiers and limits."""
