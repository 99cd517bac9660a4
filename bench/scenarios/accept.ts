import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Traffic } from '../../tools/load/plan.ts'
import { insertLimit } from '../limit/insert.ts'
import { ACCEPT, loadOn, recorder, watched } from '../measure.ts'
import { ROOT, USERS, type Database, type Rig, type Running } from '../rig.ts'
import { ACCEPT_ONLY, rounds, runMs, type Question } from '../scenario.ts'

/** Our API on a database of its own, with nobody working the queue. */
export async function openApi(
  rig: Rig,
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ api: Running; database: Database }> {
  const database = await rig.database(name)
  const api = await rig.start('api', { DATABASE_URL: database.url, ...ACCEPT_ONLY, ...env })
  return { api, database }
}

/** The baseline's tables and users. */
export async function openBaseline(rig: Rig, name: string): Promise<Database> {
  const database = await rig.emptyDatabase(name)
  await database.sql(fs.readFileSync(join(ROOT, 'bench', 'baseline', 'schema.sql'), 'utf8'))
  await database.sql(
    'insert into users (id, balance) select id, 1000000000000 from generate_series(1, $1::int) id',
    [USERS.count],
  )
  await database.sql('vacuum analyze')
  return database
}

export const accept: Question = {
  name: 'accept',
  title: 'Accept single payments, half deposits and half withdrawals of 10,000 users',
  async run(rig, known) {
    const record = recorder()
    const { api, database } = await openApi(rig, 'bench_accept')
    const theirs = await openBaseline(rig, 'bench_accept_baseline')
    const rows = await rig.database('bench_accept_limit')
    const baseline = await rig.run('baseline/api.ts', { DATABASE_URL: theirs.url })
    const echo = await rig.run('limit/echo.ts', {})
    const load = async (system: 'ours' | 'baseline' | 'echo', on: Running, connections: number) => {
      const name = `${system}, ${connections} connections`
      const seen = await loadOn(rig, name, on, { connections, ms: runMs(rig) })
      record.add(name, system, seen.load.perSecond, seen)
    }
    for (const _ of rounds(rig)) {
      await load('baseline', baseline, 128)
      await load('ours', api, 128)
      await limit(rig, rows, record)
      await load('ours', api, 512)
      await load('echo', echo, 128)
    }
    known.acceptPerSecond = record.median('ours, 128 connections')
    const facts = againstBoth(record, 'ours, 512 connections')
    return { measures: record.measures(), facts, books: [database, rows] }
  },
}

async function limit(rig: Rig, rows: Database, record: ReturnType<typeof recorder>): Promise<void> {
  for (const connections of [1, 2] as const) {
    const { perSecond, cores } = await watched(rig, () =>
      insertLimit(rows, connections, runMs(rig) / 2),
    )
    const name = `limit, ${connections} connection${connections === 1 ? '' : 's'}`
    record.add(name, 'limit', perSecond, { cores })
  }
}

/** The bar is one connection; two are what this machine can do if nobody else wants it. */
function againstBoth(record: ReturnType<typeof recorder>, ours: string): string[] {
  return ['limit, 1 connection', 'limit, 2 connections'].map((name) => {
    const share = record.median(ours) / record.median(name)
    return `${ours}: ${share.toFixed(2)} x the ${name}.`
  })
}

export const keys: Question = {
  name: 'keys',
  title: 'The same with an Idempotency-Key on each request',
  async run(rig) {
    const record = recorder()
    const traffic: Traffic = { ...ACCEPT, keys: true } as Traffic // Only `accept` has keys.
    const { api, database } = await openApi(rig, 'bench_keys')
    const theirs = await openBaseline(rig, 'bench_keys_baseline')
    const baseline = await rig.run('baseline/api.ts', { DATABASE_URL: theirs.url })
    const sides = { baseline, ours: api } as const
    for (const _ of rounds(rig)) {
      for (const system of ['baseline', 'ours'] as const) {
        const name = `${system}, 128 connections`
        const load = { connections: 128, ms: runMs(rig), traffic }
        const seen = await loadOn(rig, `keys, ${name}`, sides[system], load)
        record.add(name, system, seen.load.perSecond, seen)
      }
    }
    return { measures: record.measures(), books: [database] }
  },
}

export const bulk: Question = {
  name: 'bulk',
  title: 'Accept payments in batches of 1,000 per request',
  async run(rig) {
    const record = recorder()
    const { api, database } = await openApi(rig, 'bench_bulk')
    const rows = await rig.database('bench_bulk_limit')
    const traffic: Traffic = { kind: 'bulk', users: USERS, items: 1_000 }
    for (const _ of rounds(rig)) {
      for (const connections of [4, 8]) {
        const name = `ours, ${connections} connections`
        const load = { connections, ms: runMs(rig), traffic }
        const seen = await loadOn(rig, `bulk, ${name}`, api, load)
        record.add(name, 'ours', seen.load.perSecond, seen)
      }
      await limit(rig, rows, record)
    }
    const facts = againstBoth(record, 'ours, 8 connections')
    return { measures: record.measures(), facts, books: [database, rows] }
  },
}

export const hot: Question = {
  name: 'hot',
  title: 'Accept payments of one user against those of 10,000',
  async run(rig) {
    const record = recorder()
    const { api, database } = await openApi(rig, 'bench_hot')
    const spread = ACCEPT
    const single: Traffic = { kind: 'accept', users: { first: 1, count: 1 }, keys: false }
    for (const _ of rounds(rig)) {
      for (const [name, traffic] of [
        ['10,000 users', spread],
        ['one user', single],
      ] as const) {
        const load = { connections: 128, ms: runMs(rig), traffic }
        const seen = await loadOn(rig, name, api, load)
        record.add(name, 'ours', seen.load.perSecond, seen)
      }
    }
    return { measures: record.measures(), books: [database] }
  },
}

export const latency: Question = {
  name: 'latency',
  title: 'Latency of accepting: at half the highest rate (open loop), and of one caller alone',
  async run(rig, known) {
    const record = recorder()
    const { api, database } = await openApi(rig, 'bench_latency')
    let highest = known.acceptPerSecond
    if (highest === undefined) {
      const { load } = await loadOn(rig, 'highest rate', api, { connections: 128, ms: runMs(rig) })
      highest = load.perSecond
    }
    const ratePerSecond = Math.round(highest / 2)
    for (const _ of rounds(rig)) {
      const half = { connections: 256, ms: runMs(rig) * 2, ratePerSecond }
      const open = await loadOn(rig, `open loop at ${ratePerSecond}/s`, api, half)
      record.add('p50 at half the highest rate', 'ours', open.load.latency.p50, {
        ...open,
        unit: 'ms',
      })
      record.add('p99 at half the highest rate', 'ours', open.load.latency.p99, { unit: 'ms' })
      const alone = await loadOn(rig, 'one caller', api, { connections: 1, ms: runMs(rig) / 2 })
      record.add('p50 of one caller alone', 'ours', alone.load.latency.p50, {
        ...alone,
        unit: 'ms',
      })
    }
    return {
      measures: record.measures(),
      facts: [`The rate was ${ratePerSecond} requests a second over 256 connections.`],
      books: [database],
    }
  },
}

export const read: Question = {
  name: 'read',
  title: 'Read payments: GET /payments/{id}',
  async run(rig) {
    const record = recorder()
    const { api, database } = await openApi(rig, 'bench_read')
    const echo = await rig.run('limit/echo.ts', {})
    const { load } = await loadOn(rig, 'payments to read', api, { connections: 128, ms: 2_000 })
    const traffic: Traffic = { kind: 'read', payments: { first: 1, count: load.done } }
    for (const _ of rounds(rig)) {
      for (const [system, on] of [
        ['ours', api],
        ['echo', echo],
      ] as const) {
        const name = `${system}, 128 connections`
        const seen = await loadOn(rig, `read, ${name}`, on, {
          connections: 128,
          ms: runMs(rig),
          traffic,
        })
        record.add(name, system, seen.load.perSecond, seen)
      }
    }
    return { measures: record.measures(), books: [database] }
  },
}
