import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Why a connection was cut by us; the labels of a metric. */
type Cut = 'made_room' | 'no_room' | 'sent_ahead' | 'unread' | 'idle'

/** What is known of the connections of a process. */
export interface ConnectionCounts {
  readonly open: number
  readonly max: number
  readonly cut: Readonly<Record<Cut, number>>
}

export interface ConnectionOptions {
  /** Connections that are open at a time. */
  readonly max: number
  readonly elapsedMs: () => number
  /** How long a client may take to read one answer, in milliseconds. */
  readonly answerMsMax?: number
  /** How long a stranger's connection may be idle after an answer, in milliseconds. */
  readonly idleMsMax?: number
  /**
   * Told at most once a second that the maximum was reached, and how many were cut for it since.
   */
  readonly onFull?: (counts: ConnectionCounts, cut: number) => void
}

/**
 * Requests of one connection that may be unanswered. A client that sends more ahead is cut: Node
 * hands over all requests of one packet at once, and 64 KiB hold some 1,600 of them.
 */
const UNANSWERED_MAX = 16
const ANSWER_MS_MAX = 20_000
const IDLE_MS_MAX = 15_000
/** How often deadlines are looked at, in milliseconds. */
const SWEEP_MS = 1_000
/** Strangers looked at for one that waits for nothing of ours, before any of them is cut. */
const CANDIDATES_MAX = 64

/** What a link tells those who keep it. */
interface Keeper {
  answered(link: Link, response: ServerResponse): void
  befriended(link: Link): void
}

interface Link {
  readonly socket: Socket
  /** Answers that are not through yet, oldest first. */
  readonly owed: ServerResponse[]
  /** When it was last active; of those who are no strangers, the last sweep before. */
  activeMs: number
  answered: boolean
  stranger: boolean
  gone: boolean
  readonly keeper: Keeper
  /** The answer that was complete and not read at the last sweep, and since when. */
  unread: { readonly response: ServerResponse; readonly sinceMs: number } | null
  /** What is to be done when all answers but so many are through. */
  parting: { readonly owedMax: number; readonly act: () => void } | null
}

/**
 * A socket's link stands in the socket: a map of all of them costs more than everything else that
 * is done here about a request.
 */
const LINK = Symbol('link')

function linkOf(socket: Duplex): Link | undefined {
  return (socket as Duplex & { [LINK]?: Link })[LINK]
}

/** Say that a connection brought a request that was let in: it is cut after all strangers. */
export function trusted(socket: Duplex): void {
  const link = linkOf(socket)
  if (link?.stranger === true) link.keeper.befriended(link)
}

/**
 * One function for all answers, which finds everything by its answer: none is made for a request.
 */
function onClose(this: ServerResponse): void {
  const link = linkOf(this.req.socket)
  link?.keeper.answered(link, this)
}

/**
 * Do something about a connection whose next bytes are no request: after the answers to the
 * requests before them, which are in order and must not be lost. False: that is to come already.
 */
export function afterAnswers(socket: Duplex, act: () => void): boolean {
  const link = linkOf(socket)
  if (link === undefined) return act() === undefined
  if (link.parting !== null) return false
  const last = link.owed.at(-1)
  // A request that is not complete is the one that cannot be read, and it gets no other answer.
  const unreadable = last !== undefined && !last.req.complete
  const begun = unreadable && last.headersSent
  const owedMax = unreadable && !begun ? 1 : 0
  link.parting = { owedMax, act: begun ? () => link.socket.destroy() : act }
  part(link)
  return true
}

function part(link: Link): void {
  if (link.parting === null || link.owed.length > link.parting.owedMax) return
  const { act } = link.parting
  link.parting = { owedMax: -1, act }
  act()
}

/** The connections of all servers of a process, and the bounds of what they may hold. */
export interface Connections {
  /** Watch the connections of a server. To be called once for each. */
  attach(server: Server): void
  /** Note a request. False: the connection was cut, and nothing is to be done about it. */
  take(request: IncomingMessage, response: ServerResponse): boolean
  counts(): ConnectionCounts
  /** From now on the next answer to a connection is its last one, and says so. */
  leave(): void
  close(): void
}

/**
 * Keep the connections of a process within bounds. Strangers are those that have not brought a
 * request that was let in. At the maximum the stranger that has been quiet longest makes room for a
 * new connection, then an idle connection of the others; so nobody keeps others out by holding
 * connections.
 */
export function keepConnections(options: ConnectionOptions): Connections {
  const { max, elapsedMs } = options
  const { answerMsMax = ANSWER_MS_MAX, idleMsMax = IDLE_MS_MAX } = options
  const deadlines = { answerMsMax, idleMsMax }
  // In the order in which they were last active; of the others only the time is kept.
  const strangers = new Set<Link>()
  const others = new Set<Link>()
  const cuts: Record<Cut, number> = { made_room: 0, no_room: 0, sent_ahead: 0, unread: 0, idle: 0 }
  let told = 0
  const counts = () => ({ open: strangers.size + others.size, max, cut: { ...cuts } })

  const cut = (link: Link, why: Cut): void => {
    cuts[why] += 1
    strangers.delete(link)
    others.delete(link)
    link.gone = true
    link.socket.destroy()
  }
  const opened = (socket: Socket): void => {
    if (strangers.size + others.size >= max) {
      const victim = quietest(strangers, others)
      if (victim !== null) cut(victim, 'made_room')
      else cuts.no_room += 1
      if (victim === null) return void socket.destroy()
    }
    const link = newLink(socket, elapsedMs(), keeper)
    strangers.add(link)
    sweeping.start()
    socket.once('close', () => {
      strangers.delete(link)
      others.delete(link)
    })
  }
  let sweptMs = elapsedMs()
  let leaving = false
  const keeper: Keeper = {
    answered(link, response) {
      forget(link.owed, response)
      link.answered = true
      link.activeMs = link.stranger ? elapsedMs() : sweptMs
      if (link.stranger && strangers.delete(link)) strangers.add(link)
      if (link.parting !== null) part(link)
    },
    befriended(link) {
      link.stranger = false
      if (strangers.delete(link)) others.add(link)
    },
  }
  const sweep = (): void => {
    const nowMs = elapsedMs()
    sweptMs = nowMs
    for (const [link, why] of overdue([...strangers, ...others], nowMs, deadlines)) cut(link, why)
    const since = cuts.made_room + cuts.no_room - told
    if (since > 0) options.onFull?.(counts(), since)
    told += since
    // A process without connections is not to be woken for them.
    if (strangers.size + others.size === 0) sweeping.stop()
  }
  const sweeping = repeated(sweep, Math.min(SWEEP_MS, answerMsMax, idleMsMax))

  return {
    attach: (server) => void server.prependListener('connection', opened),
    take: ({ socket }, response) =>
      take(linkOf(socket), leaving ? asLast(response) : response, cut),
    counts,
    leave: () => void (leaving = true),
    close: sweeping.stop,
  }
}

/** Have it say that it is the last of its connection. */
function asLast(response: ServerResponse): ServerResponse {
  response.shouldKeepAlive = false
  return response
}

/** Do something again and again, from when it is started until it is stopped. */
function repeated(act: () => void, ms: number) {
  let timer: NodeJS.Timeout | null = null
  return {
    start: () => void (timer ??= setInterval(act, ms).unref()),
    stop(): void {
      clearInterval(timer ?? undefined)
      timer = null
    },
  }
}

/** Owe an answer to a connection, unless it is gone, or is cut because it sends too much ahead. */
function take(
  link: Link | undefined,
  response: ServerResponse,
  cut: (link: Link, why: Cut) => void,
): boolean {
  if (link === undefined || link.gone) return false
  if (link.owed.length >= UNANSWERED_MAX) {
    stopReading(link.socket)
    cut(link, 'sent_ahead')
    return false
  }
  link.owed.push(response)
  response.on('close', onClose)
  return true
}

/**
 * Let Node's parser leave the rest of a packet alone: it would make some 1,600 requests of it, for
 * a connection that is gone. It stops behind a request that asks for another protocol, which is 2
 * in its own words. They are not part of Node's interface: without them it only takes longer.
 */
function stopReading(socket: Socket): void {
  const { parser } = socket as { parser?: { onIncoming?: unknown } | null }
  if (typeof parser?.onIncoming === 'function') parser.onIncoming = () => 2
}

function newLink(socket: Socket, activeMs: number, keeper: Keeper): Link {
  const state = { answered: false, stranger: true, gone: false, unread: null, parting: null }
  const link: Link = { socket, owed: [], activeMs, ...state, keeper }
  return Object.assign(socket, { [LINK]: link })[LINK]
}

/** Whom a new connection may replace; null: everybody waits for an answer of ours. */
function quietest(strangers: ReadonlySet<Link>, others: ReadonlySet<Link>): Link | null {
  let looked = 0
  for (const link of strangers) {
    if (!awaitsUs(link)) return link
    looked += 1
    if (looked >= CANDIDATES_MAX) break
  }
  const [first] = strangers
  if (first !== undefined) return first
  let found: Link | null = null
  for (const link of others) {
    if (!awaitsUs(link) && (found === null || link.activeMs < found.activeMs)) found = link
  }
  return found
}

/** Whether an answer is not complete yet; one that only is not read is the client's matter. */
function awaitsUs({ owed }: Link): boolean {
  return owed.some((response) => !response.writableEnded)
}

/** Answers come in order, but for those of a connection that is gone. */
function forget(owed: ServerResponse[], response: ServerResponse): void {
  if (owed[0] === response) owed.shift()
  else owed.splice(owed.indexOf(response), 1)
}

/** Whose time is over, and why. */
function overdue(
  links: readonly Link[],
  nowMs: number,
  { answerMsMax, idleMsMax }: { readonly answerMsMax: number; readonly idleMsMax: number },
): (readonly [Link, Cut])[] {
  const found: [Link, Cut][] = []
  for (const link of links) {
    if (isUnread(link, nowMs, answerMsMax)) found.push([link, 'unread'])
    else if (link.stranger && isIdle(link, nowMs, idleMsMax)) found.push([link, 'idle'])
  }
  return found
}

/**
 * Whether nothing came since the last answer for too long. Before the first, Node has a deadline.
 */
function isIdle({ answered, owed, activeMs }: Link, nowMs: number, idleMsMax: number): boolean {
  return answered && owed.length === 0 && nowMs - activeMs >= idleMsMax
}

/** Whether one and the same complete answer has been waiting to be read for too long. */
function isUnread(link: Link, nowMs: number, answerMsMax: number): boolean {
  const [oldest] = link.owed
  if (oldest === undefined || !oldest.writableEnded) {
    link.unread = null
    return false
  }
  if (link.unread?.response !== oldest) link.unread = { response: oldest, sinceMs: nowMs }
  return nowMs - link.unread.sinceMs >= answerMsMax
}
