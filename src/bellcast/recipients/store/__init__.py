"""Scripts and SQL of recipients and what belongs to them."""
