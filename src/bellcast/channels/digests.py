"""Digests: one e-mail with all of a recipient's notifications that waited for it."""

from collections.abc import Sequence
from html import escape

import msgspec

from bellcast.channels import decision_inputs, email, links, releases
from bellcast.channels.delivery import outdated, with_report
from bellcast.channels.email import Email
from bellcast.channels.routing import Router
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import MessageUpdate, NewMessage, StoredMessage
from bellcast.inbox.types import GENERAL
from bellcast.kernel.jobs import Job
from bellcast.templates import html
from bellcast.templates.types import locales_of

# Maximum notifications per digest; the others are in another digest that follows immediately.
MAX_MEMBERS = 200
# A digest ends with the notification that brings the stored e-mails to this size. The largest e-mail has about 1 MB,
# a typical one 3 KB.
MAX_BYTES = 1024 * 1024
RULE = "border:0;border-top:1px solid #e5e7eb;margin:20px 0"
TITLE = "margin:0 0 4px;font-size:17px;line-height:1.35"


async def run(router: Router, job: Job) -> int | None:
    """Combine the due messages of the job's recipient into one message, which another job delivers. Return when
    this job runs again, or None. Safe to repeat: the message and its parts change in one transaction."""
    tenant, recipient = msgspec.json.decode(job.payload, type=tuple[str, str])
    now = router.clock.now()
    waiting = await Messages(router.db).digest_members(tenant, recipient, now, MAX_MEMBERS, MAX_BYTES)
    if not waiting:
        return None
    members: list[StoredMessage] = []
    others: list[MessageUpdate] = []
    for message in waiting:
        decided = outdated(message, now) or await releases.decide(router.db, router.catalog, message, now)
        if isinstance(decided, MessageUpdate):
            others.append(await with_report(router.webhooks, decided))
        else:
            members.append(decided)
    digest = await _digest(router, tenant, recipient, members, now) if members else None
    has_changed = not await Messages(router.db).add_digest(digest, [one.id for one in members], others, now)
    if not has_changed:
        router.reports.report(update.message for update in others)
    is_cut = len(waiting) == MAX_MEMBERS or sum(len(message.content) for message in waiting) >= MAX_BYTES
    return now if has_changed or is_cut else None


async def _digest(
    router: Router, tenant: str, recipient: str, members: Sequence[StoredMessage], now: int
) -> NewMessage:
    inputs = await decision_inputs.read(router.db, router.catalog, tenant, GENERAL, [recipient], ())
    types = list(dict.fromkeys(member.type for member in members))
    id = router.new_id(now)
    profile = inputs.profile(recipient)
    urls = links.links(router.config, router.project, tenant, recipient, types, now)
    brand = inputs.tenant.brand
    shown = links.footer(urls, locales_of(profile.locale, inputs.tenant.locale))
    items: list[tuple[str, str]] = []
    for member in members:
        content = msgspec.json.decode(member.content, type=Email)
        title, text = content.subject or "", (content.text or "").rsplit(email.FOOTER, 1)[0].rstrip()
        # An e-mail without its own content begins with the title.
        items.append((title, text.removeprefix(title).strip()))
    count = f"{len(items)} new notifications"
    subject = items[0][0] if len(items) == 1 else f"{count} from {brand.name}" if brand.name else count
    subject = email.one_line(subject)[: email.MAX_SUBJECT]
    text = "\n\n\n".join("\n\n".join(filter(None, item)) for item in items)
    inner = f'\n<hr style="{RULE}">\n'.join(
        f'<h2 style="{TITLE}">{escape(title)}</h2>\n{html.from_text(text)}' for title, text in items
    )
    language = profile.locale or inputs.tenant.locale
    return NewMessage(
        id=id,
        digest=id,
        tenant=tenant,
        recipient=recipient,
        notification=None,
        channel="email",
        type=types[0] if len(types) == 1 else GENERAL,
        priority="normal",
        address=members[0].address,
        due_at=now,
        created_at=now,
        content=msgspec.json.encode(
            Email(
                subject=subject,
                text=text + email.text_footer(shown),
                html=html.page(inner, subject=subject, language=language, brand=brand, links=shown),
                to_name=profile.name,
                unsubscribe_url=urls["unsubscribe_url"],
            )
        ),
    )
