import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect } from '../sdk/typescript/src/index.ts'
import { seededRandom } from '../src/domain/random.ts'
import { startFaultProxy } from './fault-proxy.ts'

interface Proof {
  /** The service. */
  readonly url: string
  /** Where the file of keys is kept. */
  readonly folder: string
  readonly intents: number
  /** How often the caller is killed. */
  readonly kills: number
  readonly seed: number
}

/** What an intent is for. */
const KINDS = ['deposit', 'withdraw', 'refund'] as const

/** What happened, and what is in the books afterwards. */
export interface Proved {
  readonly payments: number
  /** Of each kind. */
  readonly kinds: Readonly<Record<(typeof KINDS)[number], number>>
  /** Intents of which there is a payment. */
  readonly intents: number
  readonly fates: Readonly<Record<string, number>>
  readonly kills: number
  /** Calls that ended with `OutcomeUnknown`. */
  readonly unknown: number
}

const CALLER = fileURLToPath(new URL('sdk-caller.ts', import.meta.url))
const USERS = 10
/** Enough for every withdrawal, and for every refund. */
const MUCH = '1000000.00'

/**
 * Deposit, withdraw or refund once for each intent, through a proxy that drops, doubles and delays,
 * by a caller that is killed in the middle and goes on a little before where it was, and count what
 * came of it.
 */
export async function proveSdk(proof: Proof): Promise<Proved> {
  const { users, payments } = connect({ url: proof.url })
  const refunded: number[] = []
  for (let user_id = 1; user_id <= USERS; user_id += 1) {
    await users.create({ balance: MUCH })
    const made = await payments.deposit({ user_id, deposit: MUCH })
    if (!made.ok) throw new Error(made.problem.detail)
    refunded.push(made.payment.payment_id)
  }
  for (const id of refunded) await payments.wait(id, { until: 'final' })
  const random = seededRandom(proof.seed)
  const proxy = await startFaultProxy(proof.url, random)
  const done = new Set<number>()
  let unknown = 0
  try {
    for (let life = 0; life <= proof.kills; life += 1) {
      const last = life === proof.kills
      const share = (2 * proof.intents) / (proof.kills + 1)
      const doneMax = last ? Infinity : Math.ceil(random() * share)
      unknown += await live(proof, proxy.url, { number: life, done, doneMax, refunded })
    }
    await proxy.settle()
  } finally {
    proxy.close()
  }
  const intents: string[] = []
  const kinds = { deposit: 0, withdraw: 0, refund: 0 }
  for await (const { payment_id, type, description } of payments.list({ limit: 500 })) {
    if (refunded.includes(payment_id)) continue
    intents.push(description ?? '')
    for (const kind of KINDS) if (kind === type) kinds[kind] += 1
  }
  return {
    payments: intents.length,
    kinds,
    intents: new Set(intents).size,
    fates: { ...proxy.fates },
    kills: proof.kills,
    unknown,
  }
}

interface Life {
  readonly number: number
  /** Intents that were answered, in this life or before. */
  readonly done: Set<number>
  /** After so many answers the caller is killed. */
  readonly doneMax: number
  /** The deposits that are refunded in parts, one of each user. */
  readonly refunded: readonly number[]
}

/** It asks again for so many that it has an answer of: nobody knows where exactly it died. */
const AGAIN = 50

/** One life of the caller, which may end with SIGKILL; how many outcomes were unknown. */
async function live(
  { folder, intents, seed }: Proof,
  url: string,
  { number, done, doneMax, refunded }: Life,
): Promise<number> {
  let first = 1
  while (done.has(first)) first += 1
  first = Math.max(1, first - AGAIN)
  const args = [url, join(folder, 'keys'), seed + number, first, intents, refunded].map(String)
  const child = spawn(process.execPath, [...process.execArgv, CALLER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  let [answers, unknown] = [0, 0]
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'unknown') unknown += 1
    else {
      answers += 1
      done.add(Number(line))
    }
    if (answers >= doneMax) child.kill('SIGKILL')
  }
  const [code] = (await ended) as [number | null]
  if (doneMax === Infinity && code !== 0) throw new Error(`the caller ended with ${code}`)
  return unknown
}
