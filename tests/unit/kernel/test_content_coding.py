"""Accept-Encoding as RFC 9110 defines it."""

import pytest

from bellcast.kernel.http.responses import accepts


@pytest.mark.parametrize(
    "header",
    ["gzip", "GZip", "br, gzip", "gzip;q=1", "gzip;q=0.001", "deflate ; q=0.5 , gzip ; q=0.5", "*", "br;q=0, *;q=0.1"],
)
def test_coding_is_accepted_by_name_or_star(header):
    assert accepts(header, "gzip")


@pytest.mark.parametrize(
    "header",
    [None, "", "identity", "br", "gzip;q=0", "gzip; q=0.000", "GZIP;Q=0.0", "*;q=0", "gzip;q=0, *", "x-gzippy"],
)
def test_coding_is_refused_when_absent_or_of_weight_zero(header):
    assert not accepts(header, "gzip")
