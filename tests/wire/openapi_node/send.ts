// Sends a notification and reads it, with nothing but what is made from the OpenAPI document.
import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

declare const process: { argv: string[] }

const [url, secret, token] = process.argv.slice(2)
const headers = (credential: string) => ({ Authorization: `Bearer ${credential}` })
const app = createClient<paths>({ baseUrl: url, headers: headers(secret) })
const alice = createClient<paths>({ baseUrl: url, headers: headers(token) })

// Two fields are enough: what has a default may be left out.
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

// Fields of an answer are there: no `undefined` to be asked for.
const first: components['schemas']['Notification'] | undefined = page.data?.notifications[0]
const priority: string | undefined = first?.priority
const refused = await app.POST('/v1/notifications', { body: { to: 'openapi-alice', title: '' } })
const detail: string | undefined = refused.error?.detail

console.log(JSON.stringify([sent.data?.notifications?.[0]?.id === first?.id, first?.title, priority, read.data?.changed, detail]))
