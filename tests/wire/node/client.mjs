// Drives pusher-js (or Laravel Echo on top of it) by commands on standard input, one JSON array a line, and tells what it
// hears on standard output, one JSON object a line. The tests are on the other side, in Python.
import { createInterface } from 'node:readline'
import Pusher from 'pusher-js'
import EchoModule from 'laravel-echo'

const Echo = EchoModule.default ?? EchoModule
globalThis.Pusher = Pusher

const tell = (what, fields = {}) => process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`)
const clients = new Map()
const echoes = new Map()

function watch(name, pusher) {
  clients.set(name, pusher)
  pusher.connection.bind('state_change', ({ current }) => {
    tell('state', { name, state: current, socket_id: pusher.connection.socket_id ?? null })
  })
  pusher.connection.bind('error', (error) => tell('error', { name, error: error?.data ?? error?.error?.data ?? null }))
  pusher.bind_global((event, data) => {
    if (event.startsWith('pusher:') || !event.startsWith('pusher_internal:')) tell('global', { name, event, data: data ?? null })
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
    const followed = kind === 'public' ? echoes.get(name).channel(channel) : echoes.get(name)[kind](channel)
    followed.listen(event, (data) => tell('heard', { name, channel, event, data }))
    followed.error?.((error) => tell('refused', { name, channel, error }))
    followed.subscribed?.(() => tell('subscribed', { name, channel }))
  },
  notification(name, channel) {
    echoes.get(name).private(channel).notification((data) => tell('notification', { name, channel, data }))
  },
  whisper(name, channel, event, data) {
    echoes.get(name).private(channel).whisper(event, data)
  },
  join(name, channel) {
    echoes.get(name).join(channel)
      .here((here) => tell('here', { name, channel, here }))
      .joining((who) => tell('joining', { name, channel, who }))
      .leaving((who) => tell('leaving', { name, channel, who }))
  },
  subscribe(name, channel) {
    const followed = clients.get(name).subscribe(channel)
    followed.bind('pusher:subscription_succeeded', () => tell('subscribed', { name, channel, members: members(followed) }))
    followed.bind('pusher:subscription_error', (error) => tell('refused', { name, channel, error }))
    followed.bind('pusher:member_added', (member) => tell('member_added', { name, channel, member }))
    followed.bind('pusher:member_removed', (member) => tell('member_removed', { name, channel, member }))
    followed.bind('pusher:subscription_count', (data) => tell('subscription_count', { name, channel, data }))
    followed.bind('pusher:cache_miss', () => tell('cache_miss', { name, channel }))
    followed.bind_global((event, data) => {
      if (!event.startsWith('pusher:')) tell('event', { name, channel, event, data: data ?? null })
    })
  },
  bind(name, channel, event) {
    clients.get(name).channel(channel).bind(event, (data, metadata) => tell('bound', { name, data, metadata: metadata ?? null }))
  },
  unsubscribe(name, channel) {
    clients.get(name).unsubscribe(channel)
  },
  trigger(name, channel, event, data) {
    tell('triggered', { name, sent: clients.get(name).channel(channel).trigger(event, data) })
  },
  signin(name) {
    const pusher = clients.get(name)
    pusher.bind('pusher:signin_success', (data) => tell('signed_in', { name, data }))
    pusher.user.bind_global((event, data) => tell('user', { name, event, data: data ?? null }))
    pusher.user.watchlist.bind('online', (event) => tell('online', { name, ids: event.user_ids }))
    pusher.user.watchlist.bind('offline', (event) => tell('offline', { name, ids: event.user_ids }))
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
    tell('done', { command })
  } catch (error) {
    tell('failed', { command, error: String(error?.stack ?? error) })
  }
}).on('close', () => process.exit(0))
