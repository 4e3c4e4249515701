"""HTTP without operations: the parts of requests and responses that every room uses."""

# Items in a page of operators' lists. Larger pages would exceed the 200 ms that a page of the console may take among millions of rows.
MAX_PAGE_ROWS = 200
# Items in a page of lists that apps read completely, such as recipients or messages: they need a fifth of the requests.
MAX_APP_PAGE_ROWS = 1_000
