"""Page sizes of lists."""

# Of operators' lists. Larger pages would exceed the 200 ms that a page of the console may take among millions of rows.
MAX_PAGE_ROWS = 200
# Of lists that apps read completely, such as recipients or messages: needs a fifth of the requests.
MAX_APP_PAGE_ROWS = 1_000
