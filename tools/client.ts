import { Agent, Pool, request, type Dispatcher } from 'undici'
import { readExactJson, writeJson } from '../src/domain/exact-json.ts'
import { printable } from '../src/domain/printable.ts'
import { reasonOf } from '../src/domain/error-reason.ts'
import type { Clock } from '../src/ports.ts'

/** An answer. `body` is its JSON, long numbers as their text, or its text if it is none. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: unknown
}

/**
 * The service over HTTP. An answer that says "not now" (429, 503) is not passed on: the request is
 * sent again as Retry-After asks, unless that could do it twice.
 */
export interface Client {
  get(path: string): Promise<Reply>
  /** With an Idempotency-Key, or without. */
  post(path: string, body: object, idempotencyKey?: string | null): Promise<Reply>
  close(): Promise<void>
}

/** Longer than any answer takes, in milliseconds; a service that is silent is a failed demo. */
const SILENCE_MS_MAX = 30_000
/** Times a request is sent again; with a second between them that is half a minute. */
const AGAIN_MAX = 30

interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** Null: none. */
  readonly body: object | null
  readonly idempotencyKey?: string | null
  /** An API key. */
  readonly key?: string | null
}

/** Send one request and read the whole answer. Rejects when there is none, or a part of one. */
export async function exchange(
  url: string,
  { method, body, idempotencyKey = null, key = null }: Sent,
  dispatcher: Dispatcher,
): Promise<{ readonly status: number; readonly headers: Reply['headers']; readonly text: string }> {
  const reply = await request(url, {
    method,
    dispatcher,
    headers: {
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey }),
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    body: body === null ? null : writeJson(body),
  })
  return { status: reply.statusCode, headers: reply.headers, text: await reply.body.text() }
}

/** Set faults of a mock gateway, at once. `url` ends in its prefix. */
export async function turnGateway(
  url: string,
  faults: Readonly<Record<string, number>>,
): Promise<void> {
  const agent = new Agent()
  try {
    const { status, text } = await exchange(`${url}/faults`, { method: 'PUT', body: faults }, agent)
    if (status !== 200) throw new Error(`the gateway did not take its faults: ${status} ${text}`)
  } finally {
    await agent.close()
  }
}

/** The body that asks for a payment of an amount as the API writes it. */
export function paymentBody<Amount>(type: 'deposit' | 'withdraw', userId: number, amount: Amount) {
  return type === 'deposit' ? { user_id: userId, deposit: amount } : { user_id: userId, amount }
}

/** A client of the API below `base`, over connections that stay open. */
export function client(
  base: string,
  options: {
    readonly connections: number
    /** An API key, where the service asks for one. */
    readonly key: string | null
    readonly clock: Clock
  },
): Client {
  const { origin } = new URL(base)
  const root = base.replace(/\/+$/, '')
  const pool = new Pool(origin, {
    connections: options.connections,
    headersTimeout: SILENCE_MS_MAX,
    bodyTimeout: SILENCE_MS_MAX,
  })
  const send = async (path: string, sent: Sent): Promise<Reply> => {
    try {
      const { text, ...reply } = await exchange(root + path, { ...sent, key: options.key }, pool)
      return { ...reply, body: parse(text) }
    } catch (error) {
      throw new Error(`No service can be reached at ${origin}: ${reasonOf(error)}.`, {
        cause: error,
      })
    }
  }
  const patiently = async (path: string, sent: Sent): Promise<Reply> => {
    for (let count = 0; ; count += 1) {
      const reply = await send(path, sent)
      if (count === AGAIN_MAX || !isSafeAgain(sent, reply)) return reply
      await options.clock.sleep(1_000 * Number(reply.headers['retry-after'] ?? 1))
    }
  }
  return {
    get: (path) => patiently(path, { method: 'GET', body: null }),
    post: (path, body, idempotencyKey = null) =>
      patiently(path, { method: 'POST', body, idempotencyKey }),
    close: () => pool.destroy(),
  }
}

function parse(text: string): unknown {
  try {
    return readExactJson(text)
  } catch {
    return text
  }
}

/** `outcome_unknown` says that the request may have been carried out: only a key makes it safe. */
function isSafeAgain({ method, idempotencyKey = null }: Sent, { status, body }: Reply): boolean {
  if (status !== 429 && status !== 503) return false
  return method === 'GET' || idempotencyKey !== null || codeOf(body) !== 'outcome_unknown'
}

/** The code of a problem document. */
function codeOf(body: unknown): string | null {
  const code = (body as { code?: unknown } | null)?.code
  return typeof code === 'string' ? printable(code) : null
}

/** An answer in a few words: its status and, of a refusal, its code. */
export function describe({ status, body }: Reply): string {
  return [status, codeOf(body)].join(' ').trimEnd()
}

/** GET what must be there. Throws with the status if it is not. */
export async function read<Body>(from: Client, path: string): Promise<Body> {
  const reply = await from.get(path)
  if (reply.status === 401 || reply.status === 403) {
    throw new Error('The service asks for an API key that may read and write: use --key.')
  }
  if (reply.status !== 200) throw new Error(`GET ${path} was answered with ${reply.status}.`)
  // The service's own API, whose bodies its own tests check.
  return reply.body as Body
}

/** Do `work` on every item, `width` at a time, in order of the items. Stops at the first error. */
export async function each<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) await work(item, index)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
}
