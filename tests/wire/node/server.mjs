// Calls the Node SDK like an app: one JSON array per line on standard input, the result on standard output.
import { createInterface } from 'node:readline'
import Pusher from 'pusher'

const [, , options] = process.argv
const pusher = new Pusher(JSON.parse(options))

const calls = {
  trigger: (...rest) => pusher.trigger(...rest),
  triggerBatch: (batch) => pusher.triggerBatch(batch),
  sendToUser: (...rest) => pusher.sendToUser(...rest),
  terminate: (user) => pusher.terminateUserConnections(user),
  get: (path, params) => pusher.get({ path, params }),
  webhook: (headers, rawBody) => {
    const webhook = pusher.webhook({ headers, rawBody })
    return { valid: webhook.isValid(), events: webhook.isValid() ? webhook.getEvents() : [], time: webhook.getData?.()?.time_ms }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...rest] = JSON.parse(line)
  try {
    const response = await calls[name](...rest)
    const body = typeof response?.text === 'function' ? await response.text() : response
    console.log(JSON.stringify({ status: response?.status ?? 200, body }))
  } catch (error) {
    console.log(JSON.stringify({ status: error.status ?? 0, body: error.body ?? String(error) }))
  }
}
