import { exponentIn, toldCurrency } from '../domain/currency.ts'
import { fromWire } from '../domain/money.ts'
import {
  GatewayUnreadable,
  type GatewayCharge,
  type GatewayList,
  type ListCharges,
  type Shard,
} from '../ports.ts'
import { eachPart } from '../each-shard.ts'
import { halves, integerSet } from './integers.ts'
import { eachRange, found, knownOnly, onServer, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import { bookedAsReturns, missingReturns } from './returns.ts'
import { databaseTime, readBooked, succeededBefore, type Booked } from './store.ts'

/** More than any gateway executed: a list that goes on beyond it has no end. */
const CHARGES_MAX = 200_000_000

/** A gateway that can be asked, by its name. */
export type Listed = GatewayList & { readonly list: ListCharges }

/**
 * Compare the books with everything that a gateway executed: charged twice, unknown, failed or
 * somebody else's here, successful here and not charged there, another amount. A refund that is
 * none of ours, whatever it says, is not missing where it is booked as a return.
 *
 * The time is read first, then the gateway's list to its end, then our successes of before that
 * time. A charge is executed before it is booked, so each of those must have been in the list, and
 * a charge in the list is at least an open payment here: traffic causes no false alarm. The
 * comparison keeps 32 bytes in memory for each payment of ours that was charged, however much the
 * gateway lists. What is in a shard that is missing in the report is left out.
 */
export async function compareWithGateway(pass: Pass, { gateway, list }: Listed): Promise<void> {
  const { world, tally, options } = pass
  const before = await databaseTimes(pass)
  const charged = integerSet()
  let listed = 0
  for (let after: number | null = 0; after !== null && options.signal?.aborted !== true;) {
    const startedMs = world.clock.elapsedMs()
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    const { charges, booked } = await readAll(pass, page.charges)
    const others = charges.filter((charge) => isOthers(charge, booked.get(charge.paymentId)))
    const returned = await bookedAsReturns(pass, gateway, others)
    const findings = charges.flatMap((charge) => {
      if (returned.has(charge)) return []
      const payment = booked.get(charge.paymentId)
      // What is not ours need not be remembered: it is a violation by itself.
      const again = payment !== undefined && charged.add(...halves(charge.paymentId))
      const own = payment?.gateway === gateway ? payment : undefined
      const wrong = judge(charge, own, again, world.db.currency)
      options.onListed?.({ gateway, charge, booked: own ?? null, wrong })
      return wrong
    })
    findings.push(...(await missingReturns(pass, gateway, page.returns ?? [])))
    const checked = { charge: charges.length }
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

/** What time it is on the clock of each shard's server; null: it could not be asked. */
async function databaseTimes(pass: Pass): Promise<(shard: Shard) => Date | null> {
  const { servers } = pass.world.db
  const times: (Date | null)[] = []
  for (const server of servers) times.push(await onServer(pass, server, databaseTime))
  return ({ number }) => times[servers.findIndex(({ last }) => number <= last)] ?? null
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

/** A refund that says that it is ours, and is not by the books. */
function isOthers({ type, key }: GatewayCharge, booked: Booked | undefined): boolean {
  return type === 'refund' && (booked?.type !== 'refund' || booked.key !== key)
}

/** A refund that failed here, and whose money is booked as a return under its reference. */
function cameBack({ ref }: GatewayCharge, { returns }: Booked): boolean {
  return ref !== null && (returns?.split('\n').includes(ref) ?? false)
}

/** What is booked of charges: of those whose shards can be asked, which are returned as well. */
async function readAll(
  pass: Pass,
  charges: readonly GatewayCharge[],
): Promise<{
  readonly charges: readonly GatewayCharge[]
  readonly booked: ReadonlyMap<bigint, Booked>
}> {
  const { db } = pass.world
  const ids = new Set(charges.map((charge) => charge.paymentId))
  const places = await db.find('payment', [...ids])
  const isMissing = (id: bigint) => pass.missing.has(places.of(id).number)
  const asked = [...ids].filter((id) => !isMissing(id))
  const booked = knownOnly(pass, await eachPart(places, asked, (id) => id, readBooked)).flat()
  return {
    charges: charges.filter(({ paymentId }) => !isMissing(paymentId)),
    booked: new Map(booked.map((payment) => [payment.id, payment])),
  }
}

async function checkSuccesses(
  pass: Pass,
  { gateway, before }: { readonly gateway: string; readonly before: (shard: Shard) => Date | null },
  wasCharged: (id: bigint) => boolean,
): Promise<void> {
  const { tally, options } = pass
  const total = tally.checked('payment')
  let done = 0
  await eachRange(pass, async (shard, range) => {
    const time = before(shard)
    // Of one that was away for a while it is not known what was charged.
    if (time === null || pass.missing.has(shard.number)) return null
    const { ids, checked, next } = await succeededBefore(shard, range, { gateway, before: time })
    const findings = ids
      .filter((id) => !wasCharged(id))
      .map((id) => found('gateway_missing_there', 'charge', id))
    tally.add({ findings, checked: {}, accounts: null, next: null }, 0)
    done += checked
    options.onProgress?.({ part: 'gateway successes', done, total })
    return next
  })
}
