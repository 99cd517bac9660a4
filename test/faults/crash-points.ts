import { writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Gateway, Runner, Shard } from '../../src/ports.ts'
import type { Decorators } from '../../src/process/shared.ts'
import { withShards } from '../../src/each-shard.ts'
import type { Send } from '../../src/webhooks/deliver.ts'

/** Where the fault tests kill a process, in the order in which a payment comes by. */
export const CRASH_POINTS = [
  'accept.before_commit',
  'accept.after_commit',
  'claim.after_commit',
  'call.before_send',
  'call.after_reply',
  'settle.before_commit',
  'settle.after_commit',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

/** The same of a delivery of a webhook. */
export const DELIVERY_POINTS = [
  'deliver.before_claim',
  'deliver.before_send',
  'deliver.after_reply',
  'deliver.before_settle',
  'deliver.after_settle',
] as const

type DeliveryPoint = (typeof DELIVERY_POINTS)[number]

/** The statements by which a transaction is known, or a statement that is one by itself. */
const STATEMENTS: readonly (readonly [step: 'accept' | 'claim' | 'settle', name: RegExp])[] = [
  ['accept', /^payments_accept$/],
  ['claim', /^tasks_claim$/],
  ['settle', /^tasks_owned/],
]

function stepOf(statement: { readonly name: string }) {
  return STATEMENTS.find(([, name]) => name.test(statement.name))?.[0]
}

/** Told of each point that is passed. */
type Pass = (point: CrashPoint | DeliveryPoint) => void

/**
 * What stands around the ports of a process that dies when it comes to a point the nth time, as
 * `point:nth`. Throws when there is no such point.
 */
export function crashing(armed: string): Decorators {
  const [name, nth] = armed.split(':')
  const point = [...CRASH_POINTS, ...DELIVERY_POINTS].find((known) => known === name)
  if (point === undefined) throw new Error(`there is no crash point ${name}`)
  const pass = dying(point, Number(nth))
  return {
    db: (db) => ({ ...db, ...withShards(db, (shard) => watchedShard(shard, pass)) }),
    gateway: (gateway) => watched(gateway, pass),
    send: (send) => watchedSend(send, pass),
  }
}

/** Die by SIGKILL, after which no other line of ours runs. */
function dying(armed: CrashPoint | DeliveryPoint, nth: number): Pass {
  let left = nth
  return (point) => {
    if (point !== armed) return
    left -= 1
    if (left > 0) return
    // Written at once, so that whoever watches can tell this death from any other.
    writeSync(2, `crash point ${point}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}

function watchedShard(shard: Shard, pass: Pass): Shard {
  const run: Runner['run'] = async (statement, values) => {
    if (statement.name === 'deliveries_claim') pass('deliver.before_claim')
    if (statement.name === 'deliveries_settle') pass('deliver.before_settle')
    const rows = await shard.run(statement, values)
    if (statement.name === 'deliveries_settle') pass('deliver.after_settle')
    if (stepOf(statement) === 'claim' && rows.length > 0) pass('claim.after_commit')
    return rows
  }
  return {
    ...shard,
    run,
    async transaction(work, lockMs) {
      // Of the last attempt: the ones before it were rolled back.
      let step: 'accept' | 'settle' | undefined
      const note = (statement: { readonly name: string }): void => {
        const named = stepOf(statement)
        if (named === 'accept' || named === 'settle') step = named
      }
      const value = await shard.transaction(async (tx) => {
        step = undefined
        const done = await work({
          ...tx,
          run: (statement, values) => (note(statement), tx.run(statement, values)),
          write: (statement, values) => (note(statement), tx.write(statement, values)),
        })
        if (step !== undefined) pass(`${step}.before_commit`)
        return done
      }, lockMs)
      if (step !== undefined) pass(`${step}.after_commit`)
      return value
    },
  }
}

function watched(gateway: Gateway, pass: Pass): Gateway {
  return {
    ...gateway,
    async execute(request, signal) {
      pass('call.before_send')
      const evidence = await gateway.execute(request, signal)
      pass('call.after_reply')
      return evidence
    },
  }
}

function watchedSend(send: Send, pass: Pass): Send {
  return async (call, signal) => {
    pass('deliver.before_send')
    const reply = await send(call, signal)
    pass('deliver.after_reply')
    return reply
  }
}

/** The arguments with which Node runs a role of a program that dies at `point:nth`. */
export function crashingArguments(program: string, role: string, armed: string): string[] {
  const main = fileURLToPath(new URL('crashing.ts', import.meta.url))
  return ['--import', import.meta.resolve('tsx'), main, dirname(program), role, armed]
}
