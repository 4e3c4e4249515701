// The inbox of one recipient in four stock clients: EventSource, WebSocket, pusher-js, socket.io-client. Each keeps its
// own state by the documented rules, and counts how often it fetched the inbox.
const wait = (ms) => new Promise((done) => setTimeout(done, ms))

class Inbox {
  constructor(token) {
    this.token = token
    this.rows = new Map()
    this.unread = null
    this.fetched = 0
    this.opened = 0
    this.pending = null // events received while the inbox is fetched
  }

  async refetch() {
    this.fetched += 1
    this.pending ??= []
    for (;;) {
      try {
        const response = await fetch('/v1/inbox?limit=100', { headers: { authorization: `Bearer ${this.token}` } })
        const payload = await response.json()
        this.rows = new Map(payload.notifications.map((row) => [row.id, row]))
        this.unread = payload.unread
        break
      } catch {
        await wait(50)
      }
    }
    const pending = this.pending
    this.pending = null
    for (const [name, payload] of pending) this.receive(name, payload)
  }

  receive(name, payload) {
    if (name === 'ready') this.opened += 1
    if (name === 'reset' || (name === 'ready' && !payload.resumed)) return void this.refetch()
    if (this.pending !== null) return void this.pending.push([name, payload])
    if (name === 'notification') this.rows.set(payload.notification.id, payload.notification)
    if (name === 'notification-update') this.update(payload.notification)
    if (name === 'notification-delete') this.rows.delete(payload.id)
    if (name === 'counts' && payload.changed !== undefined) this.changeMany(payload)
    this.unread = payload.unread ?? this.unread
  }

  update(row) {
    if (row.archived_at === null) this.rows.set(row.id, row)
    else this.rows.delete(row.id)
  }

  changeMany({ changed, ids }) {
    for (const id of ids === 'all' ? [...this.rows.keys()] : ids) {
      const row = this.rows.get(id)
      if (row === undefined) continue
      if (changed === 'archived' || changed === 'deleted') this.rows.delete(id)
      if (changed === 'read') this.rows.set(id, { ...row, read_at: 'now' })
      if (changed === 'unread') this.rows.set(id, { ...row, read_at: null })
    }
  }

  get state() {
    const rows = [...this.rows.values()].map(({ id, title, read_at: at }) => [id, title, at !== null])
    return { unread: this.unread, rows: rows.sort() }
  }
}

const NAMES = ['ready', 'notification', 'notification-update', 'notification-delete', 'counts', 'reset']

const opening = {
  sse(inbox) {
    const source = new EventSource(`/v1/stream?token=${inbox.token}`)
    for (const name of NAMES) source.addEventListener(name, ({ data }) => inbox.receive(name, JSON.parse(data)))
  },
  websocket(inbox) {
    let position = null
    const open = () => {
      const since = position === null ? '' : `&position=${encodeURIComponent(position)}`
      const socket = new WebSocket(`/v1/ws?token=${inbox.token}${since}`)
      inbox.socket = socket
      socket.onmessage = ({ data }) => {
        const { type, ...payload } = JSON.parse(data)
        position = payload.position ?? position
        inbox.receive(type, payload)
      }
      socket.onclose = () => setTimeout(open, 100)
    }
    open()
  },
  pusher(inbox, { key }) {
    const headers = { authorization: `Bearer ${inbox.token}` }
    const pusher = new Pusher(key, {
      cluster: '',
      wsHost: location.hostname,
      wsPort: Number(location.port),
      forceTLS: false,
      enabledTransports: ['ws'],
      userAuthentication: { endpoint: '/pusher/user-auth', headers, params: { device: 'the only one' } },
    })
    pusher.user.bind_global((name, payload) => inbox.receive(name, payload))
    pusher.bind('pusher:signin_success', () => (inbox.opened += 1))
    pusher.signin()
  },
  socketio(inbox) {
    const socket = io({ auth: { token: inbox.token }, reconnectionDelay: 50, reconnectionDelayMax: 200 })
    for (const name of NAMES) socket.on(name, (payload) => inbox.receive(name, payload))
    socket.on('connect', () => (inbox.recovered = socket.recovered))
    inbox.socket = socket
  },
}

globalThis.openAll = (token, options) => {
  globalThis.inboxes = Object.fromEntries(
    Object.keys(opening).map((name) => {
      const inbox = new Inbox(token)
      opening[name](inbox, options)
      return [name, inbox]
    }),
  )
}
