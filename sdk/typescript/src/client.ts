import { Refusal } from './errors.ts'
import { writeJson } from './json.ts'
import { keyFor, type Named } from './keys.ts'
import type { Reply } from './retry.ts'
import { checkOptions, send, sleepMs, type Options, type Shape } from './send.ts'
import type { Problem } from './problems.ts'

/** What was asked was refused, and why. Nothing was done. */
export interface Refused {
  readonly ok: false
  readonly problem: Problem
}

/** What was asked for, under its name, or why it was refused. */
export type Answer<Name extends string, Body> =
  ({ readonly ok: true } & { readonly [Key in Name]: Body }) | Refused

/** The same of what is carried out once; `replayed`: an earlier request did it. */
export type Done<Name extends string, Body> =
  ({ readonly ok: true; readonly replayed: boolean } & { readonly [Key in Name]: Body }) | Refused

/** What any call may be given. */
export interface CallOptions {
  /** Ends the call; one that may have been carried out then throws `OutcomeUnknown`. */
  readonly signal?: AbortSignal
}

/** What a call that is carried out once may be given. */
export interface OnceOptions extends CallOptions, Named {}

/** What a call that is recorded may be given. */
export interface ActOptions extends OnceOptions {
  /** Who does it, for the record; the name of the API key if left out. */
  readonly actor?: string
}

/** A page of a list. */
interface Page<Item> {
  readonly data: readonly Item[]
  readonly next_cursor: string | null
}

/** The calls that all parts of the client are made of. */
export interface Client {
  read<Name extends string, Body>(
    name: Name,
    path: string,
    options?: CallOptions & { readonly waitMs?: number; readonly query?: object },
  ): Promise<Answer<Name, Body>>
  change<Name extends string, Body>(
    name: Name,
    path: string,
    body: object,
    options?: CallOptions & { readonly actor?: string },
  ): Promise<Answer<Name, Body>>
  once<Name extends string, Body>(
    name: Name,
    path: string,
    body: object,
    options?: ActOptions,
  ): Promise<Done<Name, Body>>
  /** Remove what stays removed, however often it is asked for. */
  remove<Name extends string>(
    name: Name,
    path: string,
    options?: CallOptions & { readonly actor?: string },
  ): Promise<Answer<Name, null>>
  /** Sent once: what is lost is not sent again. */
  send<Name extends string, Body>(
    name: Name,
    request: {
      readonly method: 'POST'
      readonly path: string
      readonly body?: object
      readonly waitMs?: number
    },
    options?: CallOptions & { readonly actor?: string },
  ): Promise<Answer<Name, Body>>
  /** All items of a list, page after page. */
  pages<Item>(path: string, filter: object, options?: CallOptions): AsyncGenerator<Item>
  /** A pause between two looks at the same thing. */
  rest(signal?: AbortSignal): Promise<void>
  /** Milliseconds that only go forward: the clock of a machine may be set at any time. */
  nowMs(): number
}

const REST_MS = 250

/**
 * What an answer of each name has: a page that says yes to everything has it not. Null: it has no
 * body at all.
 */
const SHAPES: Readonly<Record<string, Shape>> = {
  payment: ({ payment_id: id }) => Number.isInteger(id),
  timeline: ({ events }) => Array.isArray(events),
  user: ({ id }) => Number.isInteger(id),
  letter: ({ id }) => Number.isInteger(id),
  letters: (body) => Array.isArray(body),
  endpoint: ({ id }) => Number.isInteger(id),
  endpoints: ({ data }) => Array.isArray(data),
  deliveries: ({ data }) => Array.isArray(data),
  attempts: ({ data }) => Array.isArray(data),
  plan: ({ snapshot }) => Number.isInteger(snapshot),
  replay: ({ id }) => Number.isInteger(id),
  replays: ({ data }) => Array.isArray(data),
  test: ({ took_ms: took }) => Number.isInteger(took),
  removed: null,
  retried: null,
  // Without its cursor a list would be asked for its beginning again, for ever.
  page: ({ data, next_cursor: next }) =>
    Array.isArray(data) && (next === null || (typeof next === 'string' && next !== '')),
}

/** The calls over these options. */
export function clientOf(given: Options): Client {
  checkOptions(given)
  // As it was checked: a text with a space at its end is another one.
  const options = { ...given, url: new URL(given.url).href.replace(/\/+$/, '') }
  const { random = Math.random, sleep = sleepMs, now = () => performance.now() } = options
  const read: Client['read'] = async (name, path, { signal, waitMs = 0, query } = {}) => {
    const request = { method: 'GET', path, query, signal, waitMs, is: SHAPES[name] } as const
    return answerOf(name, await send(options, request))
  }
  return {
    read,
    async change(name, path, body, { signal, actor } = {}) {
      const about = { path, body: writeJson(body), signal, actor, is: SHAPES[name] }
      return answerOf(name, await send(options, { method: 'PATCH', ...about }))
    },
    async once(name, path, body, { signal, actor, ...named } = {}) {
      const about = { path, body: writeJson(body), signal, actor, is: SHAPES[name] }
      signal?.throwIfAborted()
      const user = (body as { readonly user_id?: unknown }).user_id
      const scope = `${path} ${String(user)}`
      const kept = await unlessAborted(keyFor(named, options.keys, scope), signal)
      const reply = await send(options, { method: 'POST', ...about, ...kept })
      const answer = answerOf(name, reply)
      return answer.ok ? { ...answer, replayed: reply.replayed } : answer
    },
    async remove(name, path, { signal, actor } = {}) {
      const about = { path, signal, actor, is: SHAPES[name] }
      return answerOf(name, await send(options, { method: 'DELETE', ...about }))
    },
    async send(name, { body, ...request }, { signal, actor } = {}) {
      const text = body === undefined ? {} : { body: writeJson(body) }
      const about = { ...request, ...text, signal, actor, is: SHAPES[name] }
      return answerOf(name, await send({ ...options, attemptsMax: 1 }, about))
    },
    async *pages<Item>(path: string, filter: object, callOptions?: CallOptions) {
      for (let cursor: string | null | undefined; cursor !== null;) {
        const query = { ...filter, cursor }
        const answer = await read<'page', Page<Item>>('page', path, { ...callOptions, query })
        if (!answer.ok) throw new Refusal(answer.problem)
        yield* answer.page.data
        cursor = answer.page.next_cursor
      }
    },
    rest: (signal) => sleep(random() * REST_MS, signal),
    nowMs: now,
  }
}

/** What a promise comes to, or the reason of the signal: a store may be slow. */
function unlessAborted<Kept>(promise: Promise<Kept>, signal?: AbortSignal): Promise<Kept> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop)
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

function answerOf<Name extends string, Body>(name: Name, reply: Reply): Answer<Name, Body> {
  const { status, body } = reply
  // The types are made of the service's own schemas; `send` takes no other answers.
  if (status >= 300) return { ok: false, problem: body as Problem }
  return { ok: true, [name]: body } as unknown as Answer<Name, Body>
}
