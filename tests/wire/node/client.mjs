// Drives pusher-js (or Laravel Echo on top of it) by commands on standard input, one JSON array per line, and reports
// its events on standard output, one JSON object per line. The tests that drive it are in Python.
import { createInterface } from 'node:readline'
import Pusher from 'pusher-js'
import EchoModule from 'laravel-echo'

const Echo = EchoModule.default ?? EchoModule
globalThis.Pusher = Pusher

const report = (what, fields = {}) => process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`)
const clients = new Map()
const echoes = new Map()

function watch(name, pusher) {
  clients.set(name, pusher)
  pusher.connection.bind('state_change', ({ current }) => {
    report('state', { name, state: current, socket_id: pusher.connection.socket_id ?? null })
  })
  pusher.connection.bind('error', (error) => report('error', { name, error: error?.data ?? error?.error?.data ?? null }))
  pusher.bind_global((event, data) => {
    if (event.startsWith('pusher:') || !event.startsWith('pusher_internal:')) report('global', { name, event, data: data ?? null })
  })
}

function members(channel) {
  return channel.members === undefined ? null : { count: channel.members.count, members: channel.members.members }
}

const commands = {
  connect(name, key, options) {
    watch(name, new Pusher(key, options))
  },
  echo(name, options) {
    const echo = new Echo({ ...options, Pusher })
    echoes.set(name, echo)
    watch(name, echo.connector.pusher)
  },
  listen(name, kind, channel, event) {
    const subscription = kind === 'public' ? echoes.get(name).channel(channel) : echoes.get(name)[kind](channel)
    subscription.listen(event, (data) => report('heard', { name, channel, event, data }))
    subscription.error?.((error) => report('refused', { name, channel, error }))
    subscription.subscribed?.(() => report('subscribed', { name, channel }))
  },
  notification(name, channel) {
    echoes.get(name).private(channel).notification((data) => report('notification', { name, channel, data }))
  },
  whisper(name, channel, event, data) {
    echoes.get(name).private(channel).whisper(event, data)
  },
  join(name, channel) {
    echoes.get(name).join(channel)
      .here((here) => report('here', { name, channel, here }))
      .joining((who) => report('joining', { name, channel, who }))
      .leaving((who) => report('leaving', { name, channel, who }))
  },
  subscribe(name, channel) {
    const subscription = clients.get(name).subscribe(channel)
    subscription.bind('pusher:subscription_succeeded', () => report('subscribed', { name, channel, members: members(subscription) }))
    subscription.bind('pusher:subscription_error', (error) => report('refused', { name, channel, error }))
    subscription.bind('pusher:member_added', (member) => report('member_added', { name, channel, member }))
    subscription.bind('pusher:member_removed', (member) => report('member_removed', { name, channel, member }))
    subscription.bind('pusher:subscription_count', (data) => report('subscription_count', { name, channel, data }))
    subscription.bind('pusher:cache_miss', () => report('cache_miss', { name, channel }))
    subscription.bind_global((event, data) => {
      if (!event.startsWith('pusher:')) report('event', { name, channel, event, data: data ?? null })
    })
  },
  bind(name, channel, event) {
    clients.get(name).channel(channel).bind(event, (data, metadata) => report('bound', { name, data, metadata: metadata ?? null }))
  },
  unsubscribe(name, channel) {
    clients.get(name).unsubscribe(channel)
  },
  trigger(name, channel, event, data) {
    report('triggered', { name, sent: clients.get(name).channel(channel).trigger(event, data) })
  },
  signin(name) {
    const pusher = clients.get(name)
    pusher.bind('pusher:signin_success', (data) => report('signed_in', { name, data }))
    pusher.user.bind_global((event, data) => report('user', { name, event, data: data ?? null }))
    pusher.user.watchlist.bind('online', (event) => report('online', { name, ids: event.user_ids }))
    pusher.user.watchlist.bind('offline', (event) => report('offline', { name, ids: event.user_ids }))
    pusher.signin()
  },
  send(name, text) {
    clients.get(name).connection.connection.transport.socket.send(text)
  },
  disconnect(name) {
    clients.get(name).disconnect()
  },
  reconnect(name) {
    clients.get(name).connect()
  },
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, ...rest] = JSON.parse(line)
  try {
    commands[command](...rest)
    report('done', { command })
  } catch (error) {
    report('failed', { command, error: String(error?.stack ?? error) })
  }
}).on('close', () => process.exit(0))
