"""How often one address may ask."""

from bellcast.api.rates import Rates


def test_each_address_has_its_own_bound_in_each_second():
    rates = Rates(2)
    assert [rates.exceeded("a", 10_000 + n) for n in range(4)] == [False, False, True, True]
    assert not rates.exceeded("b", 10_500)
    assert not rates.exceeded("a", 11_000)


def test_zero_is_no_bound():
    rates = Rates(0)
    assert not any(rates.exceeded("a", 10_000) for _ in range(1_000))


def test_nothing_is_remembered_beyond_the_second():
    rates = Rates(1)
    for second in range(100):
        rates.exceeded(f"address-{second}", second * 1_000)
    assert len(rates._asked) == 1
