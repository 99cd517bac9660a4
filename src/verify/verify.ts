import { compareWithGateway, type ListedGateway } from './compare-with-gateway.ts'
import { integerSet, type IntegerSet } from './integers.ts'
import {
  eachRange,
  findingOf,
  inEachShard,
  onServer,
  strides,
  withLedgerRule,
  type Pass,
  type PassOptions,
  type VerifyWorld,
} from './pass.ts'
import { tally, type Chunk, type Finding, type Report } from './report.ts'
import { checkPayments, checkUsers, type Floor } from './check-rows.ts'
import { firstKeyed, ID_BEFORE_ALL, type SnapshotScope, type IdSpan } from './snapshot-store.ts'
import { ID_MAX } from '../domain/shard.ts'
import type { Server } from '../ports.ts'
import { gatewayKeys, largestIds, readSequences, rowsOutside, withGatewayKeys } from './store.ts'

export interface VerifyOptions extends PassOptions {
  /** Compares the books with those of these gateways as well. */
  readonly gateways?: readonly ListedGateway[]
  /**
   * Every floor that the commission ever had. With them a commission above its
   * rate's must be one of them; without, any floor is believed, because the books do not store
   * floors.
   */
  readonly feeFloors?: readonly Floor[]
  /** How many violations of each rule are named. All are counted. */
  readonly examplesMax?: number
  /** Gateway keys compared at once, of 32 bytes each at most. More take several passes. */
  readonly keysAtOnce?: number
}

export const EXAMPLES_MAX = 10

/** Gateway keys compared at once: 512 MB at most. More are compared in several passes. */
const KEYS_AT_ONCE = 16_000_000
/** Double keys that are traced to their payments. One is an alarm; the rest would say no more. */
const DOUBLE_KEYS_MAX = 1_000

/**
 * Check every invariant of the books beside live traffic, without writing. Each statement is one
 * short snapshot of a bounded range of rows with everything that belongs to them, so traffic causes
 * no false alarm and no vacuum waits long. What is in a shard that stays away is not checked, and
 * the report says so; throws `Unavailable` when all of the database does.
 */
export async function verify(world: VerifyWorld, options: VerifyOptions = {}): Promise<Report> {
  const startedAt = world.clock.now()
  const startedMs = world.clock.elapsedMs()
  const sum = tally(options.examplesMax ?? EXAMPLES_MAX)
  const pass = { world, options, tally: sum, missing: new Set<number>() }
  const sizes = await checkWhole(pass)
  const goesOn = () => options.signal?.aborted !== true

  await scan(pass, 'users', sizes.users, (scope, span) => checkUsers(scope, span, goesOn))
  const floors = options.feeFloors ?? null
  await scan(pass, 'payments', sizes.payments, (scope, span) =>
    checkPayments(scope, floors, span, goesOn),
  )
  await checkGatewayKeys(pass, options.keysAtOnce ?? KEYS_AT_ONCE)
  for (const one of options.gateways ?? []) await compareWithGateway(pass, one)

  const complete = goesOn() && pass.missing.size === 0
  const durationMs = world.clock.elapsedMs() - startedMs
  const missing = [...pass.missing]
  return sum.report({ scope: 'full', complete, missing, startedAt, durationMs })
}

/**
 * Check what is no row's own: sequences, and rows in shards that there are not. Returns how many
 * users and payments there are at most.
 */
export async function checkWhole(pass: Pass): Promise<{
  readonly users: number
  readonly payments: number
}> {
  const { tally: sum } = pass
  const { db, clock } = pass.world
  const count = BigInt(db.shards.length)
  const timed = async <Value>(read: Promise<Value>) => {
    const startedMs = clock.elapsedMs()
    return { read: await read, ms: clock.elapsedMs() - startedMs }
  }
  const taken = await inEachShard(pass, (shard) => timed(largestIds(shard)))
  // Behind the ids: a number is taken before its row is written, so no traffic puts a sequence
  // behind.
  const { read: given, ms } = await timed(readSequences(db.global))
  sum.add({ findings: [], checked: {}, accounts: null, next: null }, ms)
  for (const { read: at, ms: ownMs } of taken) {
    const findings: Finding[] = []
    const behind = (place: bigint, largest: bigint, last: bigint) => {
      if (largest > last) findings.push(findingOf('sequence_behind', 'sequence', place))
    }
    // A user's id is the sequence's number; the others are number × shards + shard. In the order
    // of SEQUENCES in report.ts.
    behind(0n, at.users, given.users)
    behind(1n, at.payments / count, given.payments)
    behind(2n, at.letters / count, given.letters)
    sum.add({ findings, checked: { sequence: 3 }, accounts: null, next: null }, ownMs)
  }
  const everywhere = { first: 0, last: db.shards.length - 1 }
  const servers = db.oneTable === true ? [everywhere] : db.servers
  for (const server of servers) await checkOutside(pass, server)
  const all = (ids: readonly bigint[]) => Number(ids.reduce((total, id) => total + id / count, 0n))
  return {
    users: all(taken.map(({ read }) => read.users)),
    payments: all(taken.map(({ read }) => read.payments)),
  }
}

/** Look for rows of a server in shards that it does not hold. */
async function checkOutside(pass: Pass, server: Server): Promise<void> {
  const { clock } = pass.world
  const startedMs = clock.elapsedMs()
  const outside = await onServer(pass, server, (session) => rowsOutside(session, server))
  if (outside === null) return
  const findings = outside
    .filter((one) => one.count > 0)
    .map(({ table }) => findingOf('row_outside_shards', 'table', BigInt(table)))
  const chunk = { findings, checked: { table: outside.length }, accounts: null, next: null }
  pass.tally.add(chunk, clock.elapsedMs() - startedMs)
}

/** Check all rows of a kind in chunks, shard by shard. */
async function scan(
  pass: Pass,
  part: 'users' | 'payments',
  total: number,
  check: (scope: SnapshotScope, span: IdSpan) => Promise<Chunk | null>,
): Promise<void> {
  const { world, options, tally: sum } = pass
  const subject = part === 'users' ? 'user' : 'payment'
  const stride = strides(world.clock)
  const { shards, currency: books } = world.db
  const grown = await world.db.growth()
  await inEachShard(pass, async (shard) => {
    const keyedFrom = await firstKeyed(shard)
    const scope = { shard, count: shards.length, books, grown, keyedFrom }
    let after: bigint | null = ID_BEFORE_ALL
    while (after !== null && options.signal?.aborted !== true) {
      const from: bigint = after
      const { value: chunk, ms } = await stride(
        (limit) => check(scope, { after: from, to: ID_MAX, limit }),
        (one) => one?.steps ?? 1,
      )
      // Told to stop in the middle of a row.
      if (chunk === null) return
      sum.add(withLedgerRule(chunk), ms)
      after = chunk.next
      options.onProgress?.({ part, done: sum.checked(subject), total })
    }
  })
}

/**
 * Check that no two payments share a gateway key, over all shards, because the gateway knows no
 * shards. No index has the keys, so they are compared here: 64 random bits of each, and the few
 * that agree in those are then read whole.
 */
async function checkGatewayKeys(pass: Pass, atOnce: number): Promise<void> {
  const { tally: sum, options } = pass
  const total = sum.checked('payment')
  const parts = Math.max(1, Math.ceil(total / atOnce))
  const doubled = new Set<string>()
  let done = 0
  for (let index = 0; index < parts; index += 1) {
    const known = integerSet()
    await eachRange(pass, async (shard, range) => {
      const { keys, next } = await gatewayKeys(shard, range, { index, of: parts })
      collectDoubles(keys, known, doubled)
      done += keys.length / 16
      options.onProgress?.({ part: 'gateway keys', done, total })
      return next
    })
  }
  if (doubled.size > 0) await traceDoubles(pass, [...doubled])
}

function collectDoubles(keys: Buffer, known: IntegerSet, doubled: Set<string>): void {
  for (let at = 0; at < keys.length; at += 16) {
    // The outer eight bytes: the inner ones hold the version, which is no chance.
    const isKnown = known.add(keys.readUInt32BE(at), keys.readUInt32BE(at + 12))
    if (isKnown && doubled.size < DOUBLE_KEYS_MAX) doubled.add(keys.toString('hex', at, at + 16))
  }
}

async function traceDoubles(pass: Pass, keys: readonly string[]): Promise<void> {
  const firsts = new Set<string>()
  await eachRange(pass, async (shard, range) => {
    const { rows, next } = await withGatewayKeys(shard, range, keys)
    const findings: Finding[] = []
    for (const { id, key } of rows) {
      if (firsts.has(key)) findings.push(findingOf('gateway_key_repeated', 'payment', id))
      else firsts.add(key)
    }
    pass.tally.add({ findings, checked: {}, accounts: null, next: null }, 0)
    return next
  })
}
