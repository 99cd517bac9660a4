import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Tx } from '../src/ports.ts'
import { testWorld, type TestWorld } from './harness.ts'

/** A row of the queue; times in milliseconds from now. */
const TASK = {
  payment_id: 1,
  shard: 0,
  gateway: 'http',
  operation: 'charge',
  run_at: 0 as number | null,
  fence: 0,
  attempts: 0,
  tries: 0,
  lookups: 0,
  pendings: 0,
  leased: false,
  tried_at: null as number | null,
  doubt_at: null as number | null,
  first_sent_at: null as number | null,
  misconfigured_at: null as number | null,
  asked_at: null as number | null,
  pending_at: null as number | null,
  last_error: null as string | null,
}

export type Task = typeof TASK

function isTime(column: string): boolean {
  return column.endsWith('_at')
}

/** The queue as rows, in a database of its own. */
export async function queueOf(t: TestContext) {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard, 'shard')
  const nowMs = world.clock.now().getTime()
  const columns = Object.keys(TASK) as (keyof Task)[]
  return {
    world,
    shard,
    async put(...tasks: readonly Partial<Task>[]) {
      for (const task of tasks) {
        const row = { ...TASK, ...task }
        const values = columns.map((column) => {
          const value = row[column]
          return isTime(column) && value !== null ? new Date(nowMs + Number(value)) : value
        })
        const places = columns.map((_, at) => `$${at + 1}`)
        await world.sql(`insert into payment_tasks (${columns.join()}) values (${places.join()})`, [
          ...values,
        ])
      }
    },
    /** The rows by shard and payment, each as what differs from an empty task. */
    async rows(): Promise<Record<string, Partial<Task>>> {
      const all = await world.sql<Record<string, unknown>>('select * from payment_tasks')
      const ids = ({ shard: of, payment_id: id }: Record<string, unknown>) => `${of}/${id}`
      const rows = all.toSorted((one, two) =>
        ids(one).localeCompare(ids(two), 'en', { numeric: true }),
      )
      return Object.fromEntries(
        rows.map((row) => {
          const told = columns.slice(2).flatMap((column) => {
            const value = row[column]
            const shown = value instanceof Date ? value.getTime() - nowMs : value
            return shown === TASK[column] ? [] : [[column, shown]]
          })
          return [ids(row), Object.fromEntries(told)]
        }),
      )
    },
    write: (work: (tx: Tx) => void) => shard.transaction(async (tx) => work(tx)),
  }
}

/** Its counts, those that are not 0. */
export async function countsOf(world: TestWorld): Promise<Record<string, number>> {
  const rows = await world.sql<Record<string, number>>(
    `select coalesce(sum(enqueued), 0)::int as enqueued, coalesce(sum(started), 0)::int as started,
       coalesce(sum(retried), 0)::int as retried, count(*)::int as rows
     from payment_counts`,
  )
  return Object.fromEntries(Object.entries(rows[0] ?? {}).filter(([, count]) => count !== 0))
}
