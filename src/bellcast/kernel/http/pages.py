"""Page sizes of lists."""

# Limit of operators' lists. Larger pages would exceed the 200 ms that a page of the console may take among millions of rows.
MAX_PAGE_ROWS = 200
# Limit of lists that apps read completely, such as recipients or messages: they need a fifth of the requests.
MAX_APP_PAGE_ROWS = 1_000
