import { setTimeout as wait } from 'node:timers/promises'
import { Agent } from 'undici'
import { reasonOf } from '../../src/domain/error-reason.ts'
import { exchange, paymentBody } from '../../tools/client.ts'
import { drawOrder } from '../../tools/mix.ts'

/** One answer as a client saw it; status 0: there was none. `atMs` is on the monotonic clock. */
export interface Answer {
  readonly atMs: number
  readonly tookMs: number
  readonly status: number
  readonly text: string
}

/** One payment that a client asked for, and everything it was told about it. */
export interface Entry {
  readonly key: string
  readonly type: 'deposit' | 'withdraw' | 'refund'
  readonly userId: number
  /** Minor units. */
  readonly amount: number
  /** Decimals of its currency; 2 where they are left out. */
  readonly exponent?: number
  /** Of a refund: the deposit that it gives back. */
  readonly parentId?: number
  readonly answers: Answer[]
}

/** Longer than the service takes to give up on anything. */
const SILENCE_MS_MAX = 6_000

/** Connections of their own, up to so many to each process. */
export function connections(max: number): Agent {
  const silence = { headersTimeout: SILENCE_MS_MAX, bodyTimeout: SILENCE_MS_MAX }
  return new Agent({ connections: max, connect: { timeout: SILENCE_MS_MAX }, ...silence })
}

const AGENT = connections(400)

/** Send JSON; never throws: a broken connection or silence is an answer of status 0. */
export async function send(
  url: string,
  body: object | null,
  key: string | null,
  agent: Agent = AGENT,
): Promise<Answer> {
  const startedMs = performance.now()
  const sent = { method: body === null ? 'GET' : 'POST', body, idempotencyKey: key } as const
  // An answer that was cut short is none.
  const { status, text } = await exchange(url, sent, agent).catch((error: unknown) => ({
    status: 0,
    text: reasonOf(error),
  }))
  const atMs = performance.now()
  return { atMs, tookMs: atMs - startedMs, status, text }
}

/** Ask for the payment of an entry once, and write the answer down. */
export async function ask(api: string, entry: Entry, agent?: Agent): Promise<Answer> {
  const { path, body } = requestFor(entry)
  const answer = await send(`${api}/api/v1/payments/${path}`, body, entry.key, agent)
  entry.answers.push(answer)
  return answer
}

function requestFor({ type, userId, amount: minor, exponent = 2, parentId = 0 }: Entry) {
  const amount = minor / 10 ** exponent
  if (type !== 'refund') return { path: type, body: paymentBody(type, userId, amount) }
  return { path: `${parentId}/refunds`, body: { amount, reason: 'sent back' } }
}

/** Whether an answer says what became of the request; the others ask for the same key again. */
export function isDefinite({ status }: Answer): boolean {
  return status !== 0 && status !== 429 && status < 500
}

/** The first answer of an entry that says what became of it. */
export function definite(entry: Entry): Answer | undefined {
  return entry.answers.find(isDefinite)
}

export interface LoadOptions {
  readonly apis: readonly string[]
  readonly clients: number
  /** Payments asked for per second by all clients together. */
  readonly perSecond: number
  readonly users: number
  readonly random: () => number
}

export interface Load {
  /** The client journal: every payment that was ever asked for. */
  readonly journal: Entry[]
  /** Ask for no new payments; requests on the way are answered or given up. */
  stop(): Promise<void>
}

/** One payment in ten is asked for again although it was answered. */
const REPEATED = 0.1
/** How often a client asks again before it leaves a payment to the end of the scenario. */
const TRIES_MAX = 40
const AGAIN_MS = 100

/** Open users, and begin to ask for payments. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { clients, perSecond } = options
  const users = await openUsers(options)
  const journal: Entry[] = []
  const state = { stopping: false, number: 0 }
  const client = async (index: number): Promise<void> => {
    await wait(options.random() * 100)
    while (!state.stopping) {
      const nextMs = performance.now() + (1_000 * clients) / perSecond
      state.number += 1
      const entry = draw(options, users, `${index}-${state.number}`)
      journal.push(entry)
      await insist(options, entry, index, () => state.stopping)
      await wait(Math.max(0, nextMs - performance.now()))
    }
  }
  const running = Array.from({ length: clients }, (_, index) => client(index))
  return {
    journal,
    async stop() {
      state.stopping = true
      await Promise.all(running)
    },
  }
}

/**
 * Ask until there is a definite answer, each time at another process, and now and then once more.
 */
async function insist(
  options: LoadOptions,
  entry: Entry,
  index: number,
  stopping: () => boolean,
): Promise<void> {
  const { apis, random } = options
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const answer = await ask(apis[(index + tries) % apis.length] ?? '', entry)
    if (isDefinite(answer)) {
      if (random() < REPEATED) await ask(apis[(index + tries + 1) % apis.length] ?? '', entry)
      return
    }
    if (stopping()) return
    await wait(AGAIN_MS * (0.5 + random()))
  }
}

/** Every fifth user is poor, so that refusals are among the answers. */
async function openUsers({ apis, users }: LoadOptions): Promise<number[]> {
  const ids: number[] = []
  for (let index = 0; index < users; index += 1) {
    ids.push(await openUser(apis[index % apis.length] ?? '', index % 5 === 4 ? 20 : 100_000))
  }
  return ids
}

/** Ask for payments of one user outside of the load, until each has its answer; `everyMs` apart. */
export async function askEach(
  apis: readonly string[],
  order: Pick<Entry, 'type' | 'userId' | 'exponent'> & {
    readonly amount?: number
    readonly count: number
    readonly everyMs: number
  },
  asked: Entry[],
): Promise<readonly Entry[]> {
  const { count, everyMs, ...same } = order
  const entries: Entry[] = []
  const answers: Promise<void>[] = []
  for (let index = 0; index < count; index += 1) {
    const entry: Entry = { amount: 100, ...same, key: `own-${asked.length}`, answers: [] }
    asked.push(entry)
    entries.push(entry)
    answers.push(untilAnswered(apis, entry))
    if (everyMs > 0) await wait(everyMs)
  }
  await Promise.all(answers)
  return entries
}

/** Ask until there is a definite answer, each time at the next process. */
export async function untilAnswered(apis: readonly string[], entry: Entry): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    if (isDefinite(await ask(apis[tries % apis.length] ?? '', entry))) return
    await wait(AGAIN_MS)
  }
}

/** Open a user. Without a key, so that only a try that certainly did nothing may be repeated. */
export async function openUser(api: string, balance: number, more: object = {}): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const answer = await send(`${api}/api/v1/users/`, { balance, ...more }, null)
    if (answer.status === 201) return (JSON.parse(answer.text) as { id: number }).id
    if (tries === 100) throw new Error(`no user: ${answer.status} ${answer.text}`)
    await wait(100)
  }
}

function draw({ random }: LoadOptions, users: readonly number[], key: string): Entry {
  const amounts = { amountMin: 1, amountMax: 50_00 }
  const { type, user, amount } = drawOrder(random, { users: users.length, ...amounts })
  return { key, type, userId: users[user] ?? 0, amount, answers: [] }
}
