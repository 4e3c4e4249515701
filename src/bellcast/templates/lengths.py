"""How much of a text message or a push notification a device shows, and how many messages it costs."""

from msgspec import Struct

# The default alphabet of text messages (3GPP TS 23.038 §6.2.1), and the characters that take two places in it.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_DOUBLE = frozenset("^{}\\[~]|€\f")
# Characters of a single message, and of each part of a longer one, whose header takes six bytes.
GSM_LENGTHS, UCS2_LENGTHS = (160, 153), (70, 67)
# Characters of a body on the lock screen of a phone: four lines of about 45.
PUSH_CUT = 178


class SmsLength(Struct, frozen=True):
    """The length of a text message: its characters in the encoding, and the messages that it is sent as."""

    characters: int
    encoding: str
    segments: int


def sms(text: str) -> SmsLength:
    """Return the length of a text message."""
    is_gsm = GSM.union(GSM_DOUBLE).issuperset(text)
    single, part = GSM_LENGTHS if is_gsm else UCS2_LENGTHS
    places = [2 if (one in GSM_DOUBLE if is_gsm else one > "\uffff") else 1 for one in text]
    segments, free = 1, single if sum(places) <= single else part
    for taken in places:  # a part never ends within a character (3GPP TS 23.040 §9.2.3.24.1)
        if taken > free:
            segments, free = segments + 1, part
        free -= taken
    return SmsLength(sum(places), "GSM-7" if is_gsm else "UCS-2", segments)
