"""The messages that the pages receive, with the types and fields of the former WebSocket server."""

from typing import Literal, NotRequired, TypedDict

BookingType = Literal["new_booking", "booking_accepted", "booking_declined", "booking_cancelled", "booking_completed"]
PaymentType = Literal["payment_received", "payment_confirmed", "payment_failed", "payment_refunded"]


class Fact(TypedDict):
    message: str
    timestamp: NotRequired[str]
    bookingId: NotRequired[str]


class General(TypedDict):
    type: Literal["notification"]
    data: Fact


class BookingUpdate(TypedDict):
    type: BookingType
    bookingId: str
    serviceName: str
    message: str


class PaymentUpdate(TypedDict):
    type: PaymentType
    paymentId: str
    amount: str
    message: str
    bookingId: NotRequired[str]
