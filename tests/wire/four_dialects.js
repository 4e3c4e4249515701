// One person's inbox as four stock clients tell of it: EventSource, WebSocket, pusher-js, socket.io-client. Each keeps a
// state of its own by the documented rules, and counts how often it had to fetch the inbox anew.
const wait = (ms) => new Promise((done) => setTimeout(done, ms))

class Inbox {
  constructor(token) {
    this.token = token
    this.rows = new Map()
    this.unread = null
    this.fetched = 0
    this.opened = 0
    this.waiting = null // what is told while the inbox is fetched
  }

  async fetchAnew() {
    this.fetched += 1
    this.waiting ??= []
    for (;;) {
      try {
        const answer = await fetch('/v1/inbox?limit=100', { headers: { authorization: `Bearer ${this.token}` } })
        const said = await answer.json()
        this.rows = new Map(said.notifications.map((one) => [one.id, one]))
        this.unread = said.unread
        break
      } catch {
        await wait(50)
      }
    }
    const told = this.waiting
    this.waiting = null
    for (const [name, said] of told) this.hear(name, said)
  }

  hear(name, said) {
    if (name === 'ready') this.opened += 1
    if (name === 'reset' || (name === 'ready' && !said.resumed)) return void this.fetchAnew()
    if (this.waiting !== null) return void this.waiting.push([name, said])
    if (name === 'notification') this.rows.set(said.notification.id, said.notification)
    if (name === 'notification-update') this.update(said.notification)
    if (name === 'notification-delete') this.rows.delete(said.id)
    if (name === 'counts' && said.changed !== undefined) this.changeMany(said)
    this.unread = said.unread ?? this.unread
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
    for (const name of NAMES) source.addEventListener(name, ({ data }) => inbox.hear(name, JSON.parse(data)))
  },
  websocket(inbox) {
    let position = null
    const open = () => {
      const since = position === null ? '' : `&position=${encodeURIComponent(position)}`
      const socket = new WebSocket(`/v1/ws?token=${inbox.token}${since}`)
      inbox.socket = socket
      socket.onmessage = ({ data }) => {
        const { type, ...said } = JSON.parse(data)
        position = said.position ?? position
        inbox.hear(type, said)
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
    pusher.user.bind_global((name, said) => inbox.hear(name, said))
    pusher.bind('pusher:signin_success', () => (inbox.opened += 1))
    pusher.signin()
  },
  socketio(inbox) {
    const socket = io({ auth: { token: inbox.token }, reconnectionDelay: 50, reconnectionDelayMax: 200 })
    for (const name of NAMES) socket.on(name, (said) => inbox.hear(name, said))
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
