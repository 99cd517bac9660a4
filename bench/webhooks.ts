import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { median } from '../tools/load/report.ts'
import { fillBacklog } from './backlog.ts'
import { checkBooks } from './books.ts'
import { counter } from './measure.ts'
import { coresUsed, cpuTimes } from './processes.ts'
import { gitShort, openRig, ROOT, sleep, type Database, type Rig, type Running } from './rig.ts'
import { DONE, ourWorker } from './scenarios/drain.ts'
import { runBench } from './run-bench.ts'

/**
 * What webhooks cost. In turn, in one run: a backlog is worked off while nobody wants events, while
 * somebody polls them, and while an endpoint that answers at once is called for every end; then the
 * same endpoint is sent events while nothing else is done. Ends with 1 when settling with the
 * endpoint is below 0.85 of settling without, or sending below 0.6 of it, and with 2 where the
 * books are wrong.
 */
interface Options {
  readonly rounds: string
  readonly payments: string
  readonly dist: string
  readonly profile?: string
}

const SETTLE_MIN = 0.85
const DELIVER_MIN = 0.6

/** Every end of a payment. */
const FINAL = ['payment.succeeded', 'payment.failed']

const SIDES = ['nobody wants events', 'somebody polls them', 'an endpoint is called'] as const
const SENDING = 'sent to the endpoint'

/** How fast something went, and what of the processors it took. */
interface Pace {
  readonly perSecond: number
  /** Microseconds of processor time of each, by whose they are. */
  readonly micros: Readonly<Record<string, number>>
}

interface Side {
  readonly name: (typeof SIDES)[number]
  readonly database: Database
}

/** Make an endpoint by the API of a process that is there for that alone. */
async function makeEndpoint(rig: Rig, { url }: Database, to: string | null): Promise<void> {
  const api = await rig.start('api', { DATABASE_URL: url })
  const body = to === null ? { types: FINAL } : { url: to, types: FINAL }
  const answer = await fetch(`${api.url}/api/v1/webhook-endpoints`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (answer.status !== 201) throw new Error(`no endpoint: ${answer.status} ${await answer.text()}`)
  await api.stop()
}

/** Time how fast `count` more are done, from the first of them to the last but a twentieth. */
async function pace(
  rig: Rig,
  worker: Running,
  read: () => Promise<number>,
  count: number,
): Promise<Pace> {
  const pids = { worker: worker.pid, postgres: rig.server.pid }
  const before = await read()
  let first: { ms: number; count: number; cpu: ReturnType<typeof cpuTimes> } | null = null
  for (;;) {
    const done = (await read()) - before
    if (first === null && done > 0) {
      first = { ms: performance.now(), count: done, cpu: cpuTimes(pids) }
    }
    if (first !== null && done >= count * 0.95) {
      const ms = performance.now() - first.ms
      const cores = coresUsed(first.cpu, cpuTimes(pids), ms)
      const perSecond = ((done - first.count) * 1_000) / ms
      const micros = Object.entries(cores).map(([who, used]) => [who, (used * 1e6) / perSecond])
      return { perSecond, micros: Object.fromEntries(micros) as Pace['micros'] }
    }
    await sleep(10)
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20)
}

/** Events as the service would have written them, without their payments. */
async function fillEvents(database: Database, count: number): Promise<void> {
  await database.sql(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at)
     select 0, nextval('event_ids'), 1000000000 + n, 'payment.succeeded', 1,
       '{"type":"payment.succeeded","data":{"text":"' || repeat('x', 600) || '"}}', now()
     from generate_series(1, $1::int) n`,
    [count],
  )
}

interface Measured {
  readonly rig: Rig
  readonly gateway: Running
  readonly receiver: Running
  readonly payments: number
}

/** Work off a backlog on one side; the second of two, as the first warms up. */
async function settling({ rig, gateway, payments }: Measured, { database }: Side) {
  await fillBacklog(database, Math.ceil(payments / 4))
  const read = () => counter(gateway, DONE)
  const before = await read()
  const worker = await ourWorker(rig, database, gateway)
  await until(async () => (await read()) - before >= Math.ceil(payments / 4))
  const found = pace(rig, worker, read, payments)
  await fillBacklog(database, payments)
  return { worker, found: await found }
}

/** Send events to the endpoint while nothing else is done. */
async function sending({ rig, receiver, payments }: Measured, worker: Running, side: Side) {
  const { database } = side
  await until(async () => {
    const [row] = await database.sql<{ open: boolean }>(
      `select exists (select from deliveries where state = 'pending')
         or exists (select from payment_tasks)
         or exists (select from events where position is null) as open`,
    )
    return row?.open === false
  })
  const found = pace(rig, worker, () => counter(receiver, DONE), payments)
  await fillEvents(database, payments)
  return found
}

async function main(options: Options): Promise<void> {
  const log = (line: string) => process.stderr.write(`${line}\n`)
  const rows = { history: 0, backlog: 0 }
  const profiles = options.profile === undefined ? null : resolve(options.profile)
  const rig = await openRig({ dist: options.dist, quick: true, rows, profiles, log })
  try {
    const gateway = await rig.run('gateway.ts', {})
    const receiver = await rig.run('gateway.ts', {})
    const known = { rig, gateway, receiver, payments: Number(options.payments) }
    const sides: Side[] = []
    for (const [index, name] of SIDES.entries()) {
      const database = await rig.database(`bench_webhooks_${index}`)
      if (index > 0) await makeEndpoint(rig, database, index === 1 ? null : `${receiver.url}/`)
      sides.push({ name, database })
    }
    const paces = await inTurn(known, sides, Number(options.rounds), log)
    process.exitCode = tell(paces)
    const books = await checkBooks(
      rig,
      sides.map(({ database }) => database),
    )
    log(`Books: ${books.text}`)
    if (!books.right) process.exitCode = 2
  } finally {
    await rig.stop()
  }
}

/** Each side comes first as often as the others. */
async function inTurn(
  known: Measured,
  sides: readonly Side[],
  rounds: number,
  log: (line: string) => void,
): Promise<Map<string, Pace[]>> {
  const paces = new Map<string, Pace[]>([...SIDES, SENDING].map((name) => [name, []]))
  const add = (name: string, one: Pace) => {
    paces.get(name)?.push(one)
    log(`${name}: ${Math.round(one.perSecond)} a second`)
  }
  for (let round = 0; round < rounds; round += 1) {
    const own = round % sides.length
    for (const side of [...sides.slice(own), ...sides.slice(0, own)]) {
      const { worker, found } = await settling(known, side)
      add(side.name, found)
      if (side.name === SIDES[2]) add(SENDING, await sending(known, worker, side))
      await worker.stop()
    }
  }
  return paces
}

/** Print what was found; the exit code by the bars. */
function tell(paces: ReadonlyMap<string, readonly Pace[]>): 0 | 1 {
  const of = (name: string) => paces.get(name) ?? []
  const alone = of(SIDES[0])
  const ratios = new Map<string, number>()
  for (const [name, own] of paces) {
    const ratio = (value: (one: Pace) => number) =>
      median(own.map((one, round) => value(one) / value(alone[round] ?? one)))
    const cost = ({ micros }: Pace) => (micros['worker'] ?? 0) + (micros['postgres'] ?? 0)
    ratios.set(
      name,
      ratio(({ perSecond }) => perSecond),
    )
    const micros = (who: string) => median(own.map((one) => one.micros[who] ?? 0)).toFixed(1)
    process.stdout.write(
      `${name.padEnd(22)} ${String(Math.round(median(own.map((one) => one.perSecond)))).padStart(6)}/s, ` +
        `${(ratios.get(name) ?? 0).toFixed(2)} × the first; each ${micros('worker')} µs of the worker, ` +
        `${micros('postgres')} of PostgreSQL, ${(1 / ratio(cost)).toFixed(2)} × per processor second\n`,
    )
  }
  const settles = (ratios.get(SIDES[2]) ?? 0) >= SETTLE_MIN
  const delivers = (ratios.get(SENDING) ?? 0) >= DELIVER_MIN
  process.stdout.write(
    `at commit ${gitShort()}: settling with the endpoint ${settles ? 'passes' : 'misses'} ` +
      `${SETTLE_MIN}, sending ${delivers ? 'passes' : 'misses'} ${DELIVER_MIN}\n`,
  )
  return settles && delivers ? 0 : 1
}

runBench(
  new Command('bench:webhooks')
    .description('Measure what webhooks cost settling, and how fast events are sent.')
    .option('--rounds <count>', 'rounds of all in turn', '3')
    .option('--payments <count>', 'payments, and events, of each', '20000')
    .option('--dist <folder>', 'the built service to measure', join(ROOT, 'dist'))
    .option('--profile <folder>', 'leave processor profiles of our processes there')
    .action(main),
)
