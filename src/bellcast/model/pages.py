"""The size of pages of lists."""

# Larger pages take longer to read than the 200 ms that a page of the console may take among millions of rows.
MAX_PAGE_ROWS = 200
