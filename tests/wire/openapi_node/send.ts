// Sends a notification and reads it, using only types generated from the OpenAPI document.
import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

declare const process: { argv: string[] }

const [url, secret, token] = process.argv.slice(2)
const headers = (credential: string) => ({ Authorization: `Bearer ${credential}` })
const app = createClient<paths>({ baseUrl: url, headers: headers(secret) })
const alice = createClient<paths>({ baseUrl: url, headers: headers(token) })

// Two fields are sufficient: fields with a default may be omitted.
const sent = await app.POST('/v1/notifications', {
  body: { to: 'openapi-alice', title: 'From TypeScript', data: { lead: 7 } },
})
await app.POST('/v1/events', { body: { recipient: 'openapi-alice', name: 'hello' } })
await app.PUT('/v1/topics/{topic}/subscriptions/{recipient}', {
  params: { path: { topic: 'news', recipient: 'openapi-alice' } },
  body: {},
})
const read = await alice.POST('/v1/inbox/read', { body: { all: true } })
const page = await alice.GET('/v1/inbox', { params: { query: { view: 'read' } } })

// Fields of a response are required: no checks for `undefined`.
const first: components['schemas']['Notification'] | undefined = page.data?.notifications[0]
const priority: string | undefined = first?.priority
const refused = await app.POST('/v1/notifications', { body: { to: 'openapi-alice', title: '' } })
const detail: string | undefined = refused.error?.detail

console.log(JSON.stringify([sent.data?.notifications?.[0]?.id === first?.id, first?.title, priority, read.data?.changed, detail]))
