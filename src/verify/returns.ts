import { eachPart } from '../each-shard.ts'
import type { GatewayCharge, GatewayReturn, Places } from '../ports.ts'
import { found, inEachShard, knownOnly, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import { paymentsCalled, returnsBooked, returnsMissing } from './returns-store.ts'
import { readBooked, type Booked } from './store.ts'

/** How long a notice, or the look that it asks for, may take to book what came back. */
const GRACE_MS = 3_600_000

/**
 * What came back at a gateway more than an hour ago and is not in the books. What is looked at
 * within the hour is left out, and so is what came back of payments that are not ours: they are
 * known by our id, or by the reference that is kept of deposits.
 */
export async function missingReturns(
  pass: Pass,
  gateway: string,
  returns: readonly GatewayReturn[],
): Promise<Finding[]> {
  const { clock, db } = pass.world
  const beforeMs = clock.now().getTime() - GRACE_MS
  const old = returns.filter(({ at }) => at === null || at.getTime() < beforeMs)
  const refs = old.flatMap(({ parentRef }) => (parentRef === null ? [] : [parentRef]))
  const [called, own] = [await calledSo(pass, gateway, refs), await ownRefunds(pass, old)]
  const told = old.map((one): Told => {
    const { paymentId, parentRef, ref, undoes = '' } = one
    const parents = paymentId === null ? (called.get(parentRef ?? '') ?? []) : [paymentId]
    const of = parents.filter((parentId) => !isOwn(one, parentId, own))
    return of.map((parentId) => ({ parentId, ref, undoes }))
  })
  const all = told.flat()
  const places = await db.find('payment', idsOf(all))
  const parts = await eachPart(
    places,
    all.filter(({ parentId }) => !isAway(pass, places, parentId)),
    ({ parentId }) => parentId,
    (shard, part) => returnsMissing(shard, gateway, part),
  )
  const missing = new Set(knownOnly(pass, parts).flat().map(nameOf))
  return told
    .flatMap((of) => (isElsewhere(of, missing) ? [] : of.filter((one) => missing.has(nameOf(one)))))
    .map(({ parentId }) => found('gateway_return_missing_here', 'charge', parentId))
}

/** Of which payments something may have come back. */
type Told = readonly {
  readonly parentId: bigint
  readonly ref: string
  readonly undoes: string
}[]

function nameOf({ parentId, ref }: Told[number]): string {
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
    return parents.map((parentId) => ({ refund, parentId, ref: ref ?? '', undoes: '' }))
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
  own: ReadonlyMap<bigint, Booked>,
): boolean {
  const refund = ours === undefined ? undefined : own.get(ours.paymentId)
  if (refund === undefined || refund.type !== 'refund' || refund.status === 'failed') return false
  return refund.key === ours?.key && refund.parentId === parentId
}
