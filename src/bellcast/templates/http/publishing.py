"""What a new version of a template changes for its senders and recipients."""

import msgspec

from bellcast.channels.catalog import TEMPLATES
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.preferences.types import CHANNEL_WORDS, CHANNELS
from bellcast.rest.context import ApiContext
from bellcast.rest.objects import SHOWN_USES, PublishEffect
from bellcast.templates import rendering, variables
from bellcast.templates.types import Template
from bellcast.workflows.http import references


async def effects(ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: Template) -> list[PublishEffect]:
    """Return what publishing a valid template changes where it applies. `planned` reads the other objects as they will be
    then."""
    base = None if tenant == PROJECT else await _stored(ctx, PROJECT, key)
    own = await _stored(ctx, tenant, key)
    before = own if base is None else base if own is None else base.overridden_by(own)
    if before is None:
        return []
    next_base = None if tenant == PROJECT else await _stored(planned, PROJECT, key)
    after = value if next_base is None else next_base.overridden_by(value)
    found = []
    for locale in sorted(before.translations.keys() - after.translations.keys()):
        found.append(
            PublishEffect("language_lost", f"There is no text in {locale} any more: recipients get another language.")
        )
    for channel in CHANNELS:
        if before.has(channel) and not after.has(channel):
            found.append(PublishEffect("channel_removed", f"There is no text for {CHANNEL_WORDS[channel]} any more."))
    added = sorted(variables.required(after) - variables.required(before))
    if added:
        text = f"Sends without {', '.join(added[:SHOWN_USES])}{' and others' * (len(added) > SHOWN_USES)} are refused."
        found.append(PublishEffect("required_changed", text, n=len(added)))
    return found + await _broken_uses(planned, tenant, key, before, after)


async def _broken_uses(
    ctx: ApiContext, tenant: str, key: str, before: Template, after: Template
) -> list[PublishEffect]:
    """Return the templates whose layout this one is no longer. A write is then refused."""
    locales = dict.fromkeys(("", *before.translations, *after.translations))
    lost = [
        locale
        for locale in locales
        if rendering.is_usable_layout(before, locale) and not rendering.is_usable_layout(after, locale)
    ]
    if not lost:
        return []
    users = (await references.of_layouts(ctx, [(tenant, key)], SHOWN_USES + 1, is_exact=True))[tenant, key]
    if not users:
        return []
    shown = ", ".join(users[:SHOWN_USES]) + (" and others" if len(users) > SHOWN_USES else "")
    text = (
        f"It is the layout of {shown}, and would have no HTML with {{{{ content }}}}{rendering.in_language(lost[0])}."
    )
    return [PublishEffect("breaks_use", text, n=len(users))]


async def _stored(ctx: ApiContext, tenant: str, key: str) -> Template | None:
    document = await Documents(ctx.engines.db).get(TEMPLATES, tenant, key)
    return None if document is None else msgspec.json.decode(document.body, type=Template)
