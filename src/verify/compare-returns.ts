import { createHash } from 'node:crypto'
import { exponentIn, toldCurrency } from '../domain/currency.ts'
import { fromWire } from '../domain/money.ts'
import { wentOut } from '../domain/returns.ts'
import { eachPart } from '../each-shard.ts'
import type { GatewayReturn } from '../domain/gateway-return.ts'
import type { GatewayCharge, Places } from '../ports.ts'
import { integerSet } from './integers.ts'
import { findingOf, inEachShard, knownOnly, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import {
  paymentsCalled,
  returnsBooked,
  returnsMissing,
  type BookedReturn,
} from './returns-store.ts'
import { readBooked, type Booked } from './store.ts'

/** How long a notice, or the look that it asks for, may take to book what came back. */
const GRACE_MS = 3_600_000

/**
 * What came back at a gateway more than an hour ago and is not in the books, or as something else.
 * What is looked at within the hour is not missing, and what came back of payments that are not
 * ours is left out: they are known by our id, or by the reference that is kept of deposits.
 */
export async function compareReturns(
  pass: Pass,
  gateway: string,
  returns: readonly GatewayReturn[],
  names: ToldNames,
): Promise<Finding[]> {
  const { clock, db } = pass.world
  const beforeMs = clock.now().getTime() - GRACE_MS
  const old = returns.filter(({ at }) => at === null || at.getTime() < beforeMs)
  const refs = returns.flatMap(({ parentRef }) => (parentRef === null ? [] : [parentRef]))
  const [called, refunds] = [await calledSo(pass, gateway, refs), await ownRefunds(pass, old)]
  const parentsOf = ({ paymentId, parentRef }: GatewayReturn) =>
    paymentId === null ? (called.get(parentRef ?? '') ?? []) : [paymentId]
  for (const one of returns) {
    const parents = parentsOf(one)
    for (const parentId of parents.length === 0 ? [null] : parents) {
      names.note(parentId, one.ref)
      names.note(parentId, one.undoes ?? null)
    }
  }
  const told = old.map((one): Told => {
    const { ref, undoes = '' } = one
    const of = parentsOf(one).filter((parentId) => !isOwn(one, parentId, refunds))
    return of.map((parentId) => ({ parentId, ref, undoes, said: one }))
  })
  const all = told.flat()
  const places = await db.find('payment', idsOf(all))
  const here = all.filter(({ parentId }) => !isAway(pass, places, parentId))
  const parentOf = ({ parentId }: Told[number]) => parentId
  const parts = await eachPart(places, here, parentOf, async (shard, part) => {
    const [missing, booked] = [
      await returnsMissing(shard, gateway, part),
      await returnsBooked(shard, part),
    ]
    return { missing, booked: booked.filter((one) => one.gateway === gateway) }
  })
  const seen = knownOnly(pass, parts)
  const missing = new Set(seen.flatMap((one) => one.missing).map(nameOf))
  const booked = new Map(seen.flatMap((one) => one.booked).map((one) => [nameOf(one), one]))
  return [
    ...told
      .flatMap((of) =>
        isElsewhere(of, missing) ? [] : of.filter((one) => missing.has(nameOf(one))),
      )
      .map(({ parentId }) => findingOf('gateway_return_missing_here', 'charge', parentId)),
    ...told
      .flatMap((of) => differing(of, booked, db.currency))
      .map(({ parentId }) => findingOf('gateway_return_amount', 'charge', parentId)),
  ]
}

/** The names of what came back by a list, and of which payments. */
export interface ToldNames {
  /** A payment that is null may be any: the list names one that is not known here by that. */
  note(parentId: bigint | null, ref: string | null): void
  has(parentId: bigint, ref: string): boolean
}

/** No names yet. Each takes 32 bytes: that two are the same in 64 bits only hides one of them. */
export function newToldNames(): ToldNames {
  const names = integerSet()
  const keyOf = (parentId: bigint | null, ref: string) => {
    const digest = createHash('sha256')
      .update(`${parentId ?? ''} ${ref}`)
      .digest()
    return [digest.readUInt32BE(0), digest.readUInt32BE(4)] as const
  }
  return {
    note(parentId, ref) {
      if (ref !== null) names.add(...keyOf(parentId, ref))
    },
    has: (parentId, ref) => names.has(...keyOf(parentId, ref)) || names.has(...keyOf(null, ref)),
  }
}

/** What is booked as something else, of payments that are called the same; none if one agrees. */
function differing(of: Told, booked: ReadonlyMap<string, BookedReturn>, books: string): Told {
  const odd = of.filter((one) => {
    const known = booked.get(nameOf(one))
    return known !== undefined && !isSame(one.said, known, books)
  })
  const agreeing = of.filter((one) => booked.has(nameOf(one))).length > odd.length
  return agreeing ? [] : odd
}

/**
 * Whether a return is booked as its gateway tells it, as far as it does: the same way and as much,
 * as a look at the payment compares them. In which words makes no difference to the books.
 */
function isSame(
  { kind, amount, currency }: GatewayReturn,
  booked: BookedReturn,
  books: string,
): boolean {
  if (kind !== null && wentOut(kind) !== wentOut(booked.kind)) return false
  // A gateway that was told no currency names the one that it takes for ours, or none.
  const told = toldCurrency(booked.currency, books)
  if (told !== null && currency !== null && currency !== told) return false
  const minor = fromWire(amount, exponentIn(booked.currency, books))
  return minor === null || minor === booked.amount
}

/** Of which payments something may have come back. */
type Told = readonly {
  readonly parentId: bigint
  readonly ref: string
  readonly undoes: string
  readonly said: GatewayReturn
}[]

function nameOf({ parentId, ref }: Pick<Told[number], 'parentId' | 'ref'>): string {
  return `${parentId} ${ref}`
}

/**
 * Of several payments that are called the same, because somebody has mistyped a name, one has it in
 * the books, or may have.
 */
function isElsewhere(of: Told, missing: ReadonlySet<string>): boolean {
  return of.some((one) => one.undoes === '' && !missing.has(nameOf(one)))
}

function idsOf(told: readonly { readonly parentId: bigint }[]): bigint[] {
  return told.map(({ parentId }) => parentId)
}

function isAway({ missing }: Pass, places: Places, id: bigint): boolean {
  return missing.has(places.of(id).number)
}

/**
 * Of refunds that say that they are ours, and are not by the books: those that are booked as what
 * others gave back of the charge that they are a part of, or may be.
 */
export async function bookedAsReturns(
  pass: Pass,
  gateway: string,
  refunds: readonly GatewayCharge[],
): Promise<ReadonlySet<GatewayCharge>> {
  const { db } = pass.world
  const refs = refunds.flatMap(({ parentRef }) => (parentRef === undefined ? [] : [parentRef]))
  const called = await calledSo(pass, gateway, refs)
  const asked = refunds.flatMap((refund) => {
    const { ref, parentRef = '' } = refund
    const parents = ref === null ? [] : (called.get(parentRef) ?? [])
    return parents.map((parentId) => ({ refund, parentId, ref: ref ?? '' }))
  })
  const places = await db.find('payment', [...called.values()].flat())
  const here = asked.filter(({ parentId }) => !isAway(pass, places, parentId))
  const parts = await eachPart(places, here, ({ parentId }) => parentId, returnsBooked)
  const booked = knownOnly(pass, parts).flat()
  const names = new Set(booked.map(({ parentId, ref }) => `${parentId} ${ref}`))
  // Of what is in a shard that is away nothing is known.
  const away = refunds.filter(({ parentRef }) => {
    const parents = called.get(parentRef ?? '')
    const unseen = parents?.some((id) => isAway(pass, places, id)) ?? pass.missing.size > 0
    return parentRef !== undefined && unseen
  })
  const returned = here.filter((one) => names.has(nameOf(one))).map(({ refund }) => refund)
  return new Set([...returned, ...away])
}

/** The payments that a gateway calls so, in whichever shards they are. */
async function calledSo(
  pass: Pass,
  gateway: string,
  refs: readonly string[],
): Promise<ReadonlyMap<string, readonly bigint[]>> {
  const called = new Map<string, bigint[]>()
  if (refs.length === 0) return called
  const distinct = [...new Set(refs)]
  const rows = await inEachShard(pass, (shard) => paymentsCalled(shard, gateway, distinct))
  for (const { ref, paymentId } of rows.flat()) {
    called.set(ref, [...(called.get(ref) ?? []), paymentId])
  }
  return called
}

/** The payments that failed refunds say that they are. */
async function ownRefunds(
  pass: Pass,
  returns: readonly GatewayReturn[],
): Promise<ReadonlyMap<bigint, Booked>> {
  const { db } = pass.world
  const named = new Set(returns.flatMap(({ ours }) => (ours === undefined ? [] : [ours.paymentId])))
  const places = await db.find('payment', [...named])
  const asked = [...named].filter((id) => !isAway(pass, places, id))
  const parts = await eachPart(places, asked, (id) => id, readBooked)
  return new Map(
    knownOnly(pass, parts)
      .flat()
      .map((refund) => [refund.id, refund]),
  )
}

/**
 * It is a refund of ours that did not fail here: there is no return to take back. One that is done
 * is missing at the gateway.
 */
function isOwn(
  { ours }: GatewayReturn,
  parentId: bigint,
  refunds: ReadonlyMap<bigint, Booked>,
): boolean {
  const refund = ours === undefined ? undefined : refunds.get(ours.paymentId)
  if (refund === undefined || refund.type !== 'refund' || refund.status === 'failed') return false
  return refund.key === ours?.key && refund.parentId === parentId
}
