import { exponentIn, toldCurrency } from '../domain/currency.ts'
import { fromWire } from '../domain/money.ts'
import {
  GatewayUnreadable,
  type Db,
  type GatewayCharge,
  type GatewayList,
  type ListCharges,
  type Shard,
} from '../ports.ts'
import { eachInTurn, eachPart, whole } from '../each-shard.ts'
import { halves, integerSet } from './integers.ts'
import { eachRange, found, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import { databaseTime, readBooked, succeededBefore, type Booked } from './store.ts'

/** More than any gateway executed: a list that goes on beyond it has no end. */
const CHARGES_MAX = 200_000_000

/** A gateway that can be asked, by its name. */
export type Listed = GatewayList & { readonly list: ListCharges }

/**
 * Compare the books with everything that a gateway executed: charged twice, unknown, failed or
 * somebody else's here, successful here and not charged there, another amount.
 *
 * The time is read first, then the gateway's list to its end, then our successes of before that
 * time. A charge is executed before it is booked, so each of those must have been in the list, and
 * a charge in the list is at least an open payment here: traffic causes no false alarm. The
 * comparison keeps 32 bytes in memory for each payment of ours that was charged, however much the
 * gateway lists.
 */
export async function compareWithGateway(pass: Pass, { gateway, list }: Listed): Promise<void> {
  const { world, tally, options } = pass
  const before = await databaseTimes(world.db)
  const charged = integerSet()
  let listed = 0
  for (let after: number | null = 0; after !== null && options.signal?.aborted !== true;) {
    const startedMs = world.clock.elapsedMs()
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    const booked = await readAll(pass, page.charges)
    const findings = page.charges.flatMap((charge) => {
      const payment = booked.get(charge.paymentId)
      // What is not ours need not be remembered: it is a violation by itself.
      const again = payment !== undefined && charged.add(...halves(charge.paymentId))
      const own = payment?.gateway === gateway ? payment : undefined
      return judge(charge, own, again, world.db.currency)
    })
    const checked = { charge: page.charges.length }
    tally.add(
      { findings, checked, accounts: null, next: null },
      world.clock.elapsedMs() - startedMs,
    )
    listed += page.charges.length
    if (listed > CHARGES_MAX) throw new GatewayUnreadable('the list of charges has no end')
    options.onProgress?.({ part: 'gateway charges', done: listed, total: listed })
    after = page.next
  }
  // Half a list proves nothing missing.
  if (options.signal?.aborted === true) return
  await checkSuccesses(pass, { gateway, before }, (id) => charged.has(...halves(id)))
}

/** What time it is on the clock of each shard's server. */
async function databaseTimes({ shards, servers }: Db): Promise<(shard: Shard) => Date> {
  // Any session of a server will do.
  const sessions = servers.flatMap(({ first }) => shards[first] ?? [])
  const times = whole(await eachInTurn(sessions, databaseTime))
  return ({ number }) => times[servers.findIndex(({ last }) => number <= last)] as Date
}

/** What is wrong with a charge, given what is booked under its payment's id there. Pure. */
function judge(
  charge: GatewayCharge,
  booked: Booked | undefined,
  again: boolean,
  books: string,
): Finding[] {
  const finding = (rule: Finding['rule']) => found(rule, 'charge', charge.paymentId)
  const findings: Finding[] = []
  if (again) findings.push(finding('gateway_charged_twice'))
  const failed = booked?.status === 'failed' && !booked.corrected && !cameBack(charge, booked)
  if (booked === undefined || booked.key !== charge.key || failed) {
    return [...findings, finding('gateway_missing_here')]
  }
  const amount = fromWire(charge.amount, exponentIn(booked.currency, books))
  // A gateway that was told no currency names the one that it takes for ours, or none.
  const told = toldCurrency(booked.currency, books)
  const currency = told === null ? null : (charge.currency ?? told)
  if (booked.amount !== amount || booked.type !== charge.type || currency !== told) {
    findings.push(finding('gateway_amount'))
  }
  return findings
}

/** A refund that failed here, and whose money is booked as a return under its reference. */
function cameBack({ ref }: GatewayCharge, { returns }: Booked): boolean {
  return ref !== null && (returns?.split('\n').includes(ref) ?? false)
}

async function readAll(
  { world }: Pass,
  charges: readonly GatewayCharge[],
): Promise<Map<bigint, Booked>> {
  const ids = [...new Set(charges.map((charge) => charge.paymentId))]
  const booked = whole(await eachPart(world.db, ids, (id) => id, readBooked)).flat()
  return new Map(booked.map((payment) => [payment.id, payment]))
}

async function checkSuccesses(
  pass: Pass,
  { gateway, before }: { readonly gateway: string; readonly before: (shard: Shard) => Date },
  wasCharged: (id: bigint) => boolean,
): Promise<void> {
  const { tally, options } = pass
  const total = tally.checked('payment')
  let done = 0
  await eachRange(pass, async (shard, range) => {
    const { ids, checked, next } = await succeededBefore(shard, range, {
      gateway,
      before: before(shard),
    })
    const findings = ids
      .filter((id) => !wasCharged(id))
      .map((id) => found('gateway_missing_there', 'charge', id))
    tally.add({ findings, checked: {}, accounts: null, next: null }, 0)
    done += checked
    options.onProgress?.({ part: 'gateway successes', done, total })
    return next
  })
}
