"""The size of pages of lists."""

# Of an operator's list. Larger pages take longer to read than the 200 ms that a page of the console may take among millions
# of rows.
MAX_PAGE_ROWS = 200
# Of a list that apps read whole, such as recipients or messages: a fifth of the requests.
MAX_APP_PAGE_ROWS = 1_000
