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
import { eachRange, findingOf, knownOnly, onServer, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import { bookedAsReturns, compareReturns, newToldNames, type ToldNames } from './compare-returns.ts'
import { databaseTime, readBooked, succeededBefore, type Booked } from './store.ts'

/** More than any gateway executed: a list that goes on beyond it has no end. */
const CHARGES_MAX = 200_000_000

/** A gateway that can be asked, by its name. */
export type ListedGateway = GatewayList & { readonly list: ListCharges }

/**
 * Compare the books with everything that a gateway executed: charged twice, unknown, failed or
 * somebody else's here, successful here and not charged there, another amount; and with what came
 * back there. A refund that is none of ours, whatever it says, is not missing where it is booked as
 * a return.
 *
 * The time is read first, then the gateway's list to its end, then our successes of before that
 * time. A charge is executed before it is booked, so each of those must have been in the list, and
 * a charge in the list is at least an open payment here: traffic causes no false alarm. The
 * comparison keeps 32 bytes in memory for each payment of ours that was charged and each name of
 * what came back, however much the gateway lists. What is in a shard that is missing in the report
 * is left out.
 */
export async function compareWithGateway(
  pass: Pass,
  { gateway, list }: ListedGateway,
): Promise<void> {
  const { world, tally, options } = pass
  const before = await databaseTimes(pass)
  const charged = integerSet()
  const told = newToldNames()
  let tells: readonly string[] = []
  let listed = 0
  for (let after: number | null = 0; after !== null && options.signal?.aborted !== true;) {
    const startedMs = world.clock.elapsedMs()
    const asked = after
    const page: Awaited<ReturnType<ListCharges>> = await patiently(pass, asked, list)
    const { charges, booked } = await readAll(pass, page.charges)
    const others = charges.filter((charge) => isOthers(charge, booked.get(charge.paymentId)))
    const returned = await bookedAsReturns(pass, gateway, others)
    const findings = charges.flatMap((charge) => {
      if (returned.has(charge)) return []
      const payment = booked.get(charge.paymentId)
      // What is not ours need not be remembered: it is a violation by itself.
      const again = payment !== undefined && charged.add(...halves(charge.paymentId))
      const here = payment?.gateway === gateway ? payment : undefined
      const wrong = judge(charge, here, again, world.db.currency)
      options.onListed?.({ gateway, charge, booked: here ?? null, wrong })
      return wrong
    })
    findings.push(...(await compareReturns(pass, gateway, page.returns ?? [], told)))
    // A refund of ours may be booked as a return, of whichever payment.
    for (const { type, ref } of page.charges) if (type === 'refund') told.note(null, ref)
    for (const name of page.names ?? []) told.note(null, name)
    tells = [...tells, ...(page.tells ?? [])]
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
  await checkSuccesses(
    pass,
    { gateway, before, tells: [...new Set(tells)] },
    {
      wasCharged: (id) => charged.has(...halves(id)),
      wasTold: told.has,
    },
  )
}

/** A page that could not be read is asked for again after each of these, in milliseconds. */
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 16_000]

/**
 * A page of a list, asked for again where it cannot be read for a moment: a long list has one that
 * is limited, or whose connection breaks, and without it nothing of the list is worth anything. The
 * first one tells at once that nobody answers there.
 */
async function patiently({ world, options }: Pass, after: number, list: ListCharges) {
  for (const waitMs of after === 0 ? [] : WAITS_MS) {
    try {
      return await list(after)
    } catch (error) {
      if (!(error instanceof GatewayUnreadable && error.passing)) throw error
      await world.clock.sleep(waitMs, options.signal)
      if (options.signal?.aborted === true) throw error
    }
  }
  return list(after)
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
  const finding = (rule: Finding['rule']) => findingOf(rule, 'charge', charge.paymentId)
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
  {
    gateway,
    before,
    tells,
  }: {
    readonly gateway: string
    readonly before: (shard: Shard) => Date | null
    /** In which ways something came back of which the list tells all. */
    readonly tells: readonly string[]
  },
  {
    wasCharged,
    wasTold,
  }: {
    readonly wasCharged: (id: bigint) => boolean
    readonly wasTold: ToldNames['has']
  },
): Promise<void> {
  const { tally, options } = pass
  const total = tally.checked('payment')
  let done = 0
  await eachRange(pass, async (shard, range) => {
    const time = before(shard)
    // Of one that was away for a while it is not known what was charged.
    if (time === null || pass.missing.has(shard.number)) return null
    const asked = { gateway, before: time, tells }
    const { ids, returns, checked, next } = await succeededBefore(shard, range, asked)
    const missing = ids.filter((id) => !wasCharged(id))
    const untold = returns.filter(([, parentId, ref]) => !wasTold(parentId, ref))
    const findings = [
      ...missing.map((id) => findingOf('gateway_missing_there', 'charge', id)),
      ...untold.map(([id]) => findingOf('gateway_return_missing_there', 'charge', id)),
    ]
    tally.add({ findings, checked: {}, accounts: null, next: null }, 0)
    done += checked
    options.onProgress?.({ part: 'gateway successes', done, total })
    return next
  })
}
