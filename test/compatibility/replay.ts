import { readFileSync, writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { newKey, type NewKey } from '../../src/domain/api-key.ts'
import { insertKey } from '../../src/keys/store.ts'
import { testWorld } from '../harness.ts'
import { raw, type Received } from '../hostile/wire.ts'
import { declined, lost } from '../operators.ts'
import { serve } from '../serve.ts'

/** A request as the bytes it is, in Latin-1, and which service it goes to. */
export interface Asked {
  readonly of: 'open' | 'guarded'
  readonly ask: string
}

/** What it was answered with, less what is another each time; null: with a closed connection. */
export interface Recorded extends Asked {
  readonly answer: { readonly status: number; readonly head: string; readonly body: string } | null
}

/**
 * The recording: a line of JSON with every head that there is, and then one for each request: which
 * service, the request, and the status, the number of the head and the body of its answer.
 */
const RECORDING = new URL('../fixtures/compatibility.jsonl', import.meta.url)

type Line = readonly [
  of: Asked['of'],
  ask: string,
  ...answer: readonly [status: number, head: number, body: string] | readonly [],
]

/** The recording of the version before: see `test/compatibility.test.ts`. */
export function recording(): Recorded[] {
  const [first = '', ...lines] = readFileSync(RECORDING, 'utf8').trimEnd().split('\n')
  const heads = JSON.parse(first) as readonly string[]
  return lines.map((line) => {
    const [of, ask, status, head, body] = JSON.parse(line) as Line
    const none = status === undefined || head === undefined || body === undefined
    return { of, ask, answer: none ? null : { status, head: heads[head] ?? '', body } }
  })
}

/** Keep what was answered as the recording. */
export function record(answered: readonly Recorded[]): void {
  const heads = [...new Set(answered.flatMap(({ answer }) => answer?.head ?? []))]
  const lines = answered.map(({ of, ask, answer }): Line => {
    if (answer === null) return [of, ask]
    return [of, ask, answer.status, heads.indexOf(answer.head), answer.body]
  })
  writeFileSync(RECORDING, [heads, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(''))
}

const SCOPES = ['read', 'write', 'operate'] as const

/** A token for each scope. */
export type Tokens = Readonly<Record<(typeof SCOPES)[number], string>>

/** The key of a scope, made out of bytes that are all the same. */
function keyOf(scope: keyof Tokens): NewKey {
  return newKey((bytes) => Buffer.alloc(bytes, SCOPES.indexOf(scope) + 1))
}

/** The tokens of the keys that the set-up makes. */
export function tokens(): Tokens {
  const token = (scope: keyof Tokens) => keyOf(scope).token
  return { read: token('read'), write: token('write'), operate: token('operate') }
}

/**
 * Two services over books that are always the same, one of which asks for keys. No worker runs, so
 * nothing happens but what is asked for.
 */
export async function startReplay(t: TestContext): Promise<(asked: Asked) => Promise<Recorded>> {
  const world = await testWorld(t)
  for (const type of ['deposit', 'withdraw'] as const) {
    await declined(world, type, type === 'deposit' ? 5 : 2)
  }
  for (const type of ['withdraw', 'deposit'] as const) {
    for (let count = 0; count < 3; count += 1) await lost(world, type)
  }
  for (const scope of SCOPES) {
    await insertKey(world.db.global, keyOf(scope), scope, [scope])
  }
  const given = {
    database: world.url,
    roles: { api: true, worker: false, mockGateway: true },
  }
  const open = await serve(t, { MOCK_GATEWAY_SEED: '1' }, given)
  const guarded = await serve(t, { HOST: '0.0.0.0', MOCK_GATEWAY_SEED: '1' }, given)
  const port = ({ url }: { url: string }) => Number(new URL(url).port)
  const ports = { open: port(open), guarded: port(guarded) }
  return async ({ of, ask }) => {
    const { answer } = await raw(ports[of], Buffer.from(ask, 'latin1'))
    return { of, ask, answer: answer === null ? null : steady(answer, ports[of]) }
  }
}

/** Headers that are others each time, or follow from the body. */
const OTHERS = new Set(['date', 'x-request-id', 'content-length', 'etag'])

function steady(
  { status, headers, body }: Received,
  port: number,
): NonNullable<Recorded['answer']> {
  const kept = Object.entries(headers).filter(([name]) => !OTHERS.has(name))
  const text = body
    .replace(/"instance":"[^"]*"/g, '"instance":"…"')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'a time')
    .replaceAll(`:${port}`, ':port')
  return { status, head: kept.map((pair) => pair.join(': ')).join('\n'), body: text }
}
