import type { GatewayProfile } from '../domain/gateway-profile.ts'
import type { Operation, Route } from '../domain/payment.ts'
import type { Db, Gateway, Notice, RawNotice, Runner, Shard } from '../ports.ts'
import { eachInTurn, shardWith, whole } from '../each-shard.ts'
import { findRef } from '../payments/gateway-refs-store.ts'
import { hurryTask } from '../queue/store.ts'
import { keepNotice, noticeKnown } from './notices-store.ts'
import { watchNoticed, type Noticed } from '../queue/watches-store.ts'

export interface NoticeWorld {
  readonly db: Db
  /** The gateways of this process, by name. */
  readonly gateways: ReadonlyMap<string, Pick<Gateway, 'profile' | 'readNotice' | 'sendsFrom'>>
  /** Told that a route has something to ask about. */
  readonly onHurried: (route: Route) => void
  /** Told that a final payment is to be looked at. */
  readonly onWatched: () => void
  /** Told what became of each. */
  readonly onNotice: (gateway: string, what: NoticeEnd) => void
}

/**
 * What became of a notice: only the first four cost more than reading it, and `crowded` ones were
 * not even read. `watched`: it is about a final payment, which is looked at now. `duplicate`: it
 * came before.
 */
export type NoticeEnd =
  'hurried' | 'watched' | 'nothing' | 'duplicate' | 'ignored' | 'refused' | 'limited' | 'crowded'

export type NoticeTaken =
  | { readonly kind: 'taken' }
  | { readonly kind: 'limited'; readonly waitMs: number }
  | { readonly kind: 'refused'; readonly code: 'gateway_not_found' | 'notice_refused' }

/**
 * Take a notice: a hint at which payment is worth asking about, and nothing else. What is not the
 * gateway's costs no lookup and leaves nothing behind; what is, by its signature, is kept.
 * `take` says how long the next one that nobody has signed has to wait; 0: not at all.
 */
export async function takeNotice(
  world: NoticeWorld,
  name: string,
  raw: RawNotice,
  take: (gateway: string) => number,
): Promise<NoticeTaken> {
  const { gateways, onNotice } = world
  const readNotice = gateways.get(name)?.readNotice
  if (readNotice === undefined) return { kind: 'refused', code: 'gateway_not_found' }
  const notice = readNotice(raw)
  if (notice.kind === 'refused') {
    onNotice(name, 'refused')
    return { kind: 'refused', code: 'notice_refused' }
  }
  if (notice.kind === 'ignored') {
    onNotice(name, 'ignored')
    return { kind: 'taken' }
  }
  const named = notice.paymentId !== null || notice.parentRef !== undefined
  const waitMs = notice.kind === 'hint' && named ? take(name) : 0
  if (waitMs > 0) {
    onNotice(name, 'limited')
    return { kind: 'limited', waitMs }
  }
  const { paymentId } = notice
  const home = paymentId === null ? null : await shardWith(world.db, 'payment', paymentId)
  const seen = await takeAbout({ world, gateway: name, notice, home })
  onNotice(name, ENDS.find((end) => seen.some((one) => one.end === end)) ?? 'nothing')
  for (const { end, operation } of seen) {
    if (end === 'hurried') world.onHurried({ gateway: name, operation })
    if (end === 'watched') world.onWatched()
  }
  return { kind: 'taken' }
}

type About = Extract<Notice, { kind: 'authentic' | 'hint' }>

/** A notice that is taken. */
interface Taking {
  readonly world: NoticeWorld
  readonly gateway: string
  readonly notice: About
  /** Where the payment that it names is, if it is ours; null: it names none. */
  readonly home: Shard | null
}

/** What a notice comes to, the most telling first. */
const ENDS = ['hurried', 'watched', 'duplicate', 'nothing'] as const

/** What came of a notice in a shard, and about what it was. */
interface Seen {
  readonly end: (typeof ENDS)[number]
  readonly paymentId: bigint | null
  readonly operation: Operation
}

/**
 * A notice is about the payment that it names. Where nothing comes of that, because it is none of
 * ours or is a refund that is over, it is about the charge that it is a part of, if that is ours:
 * it is looked for in every shard, and all that are called so are asked about. Throws where a shard
 * cannot be asked and no other has it, so that the notice is sent again.
 */
async function takeAbout(taking: Taking): Promise<readonly Seen[]> {
  const { home } = taking
  const { db } = taking.world
  const { parentRef } = taking.notice
  const last = parentRef === undefined || db.shards.length === 1
  const first = home === null ? null : await takeIn(taking, home, last)
  if (first !== null && (first.end !== 'nothing' || last)) return [first]
  const asked = await eachInTurn(db.shards, async (shard) => {
    if (shard === home || parentRef === undefined) return []
    const here = await findRef(shard, taking.gateway, parentRef)
    return here === null ? [] : [await takeIn(taking, shard, true)]
  })
  const named = asked.done.flatMap(({ value }) => value)
  if (named.length > 0) return named
  whole(asked)
  return [await takeNothing(taking)]
}

/** How long the locks of a notice may take, in milliseconds: whoever sent it sends it again. */
const LOCK_MS = 2_000

/**
 * What a notice comes to in a shard, the first time that something comes of it. What is signed is
 * kept in the transaction that does what it asks for, so that one which was answered is never lost,
 * and one that was not is new. That nothing came of it is kept in the `last` shard that may know
 * more, and is no reason to leave it when it comes again. Of a hint nothing is kept.
 */
async function takeIn(taking: Taking, shard: Shard, last: boolean): Promise<Seen> {
  const { gateway, notice } = taking
  if (notice.kind === 'hint') return await askedIn(taking, shard, shard)
  return await shard.transaction(async (tx) => {
    if (await noticeKnown(tx, gateway, notice)) return { ...notice, end: 'duplicate' }
    const seen = await askedIn(taking, shard, tx)
    if (last || seen.end !== 'nothing') keepNotice(tx, gateway, { ...notice, ...seen }, seen.end)
    return seen
  }, LOCK_MS)
}

/** Keep that nothing came of a notice anywhere: until then it is not taken. */
async function takeNothing({ world, gateway, notice, home }: Taking): Promise<Seen> {
  if (notice.kind === 'hint') return { ...notice, end: 'nothing' }
  return await (home ?? world.db.of(0n)).transaction(async (tx) => {
    if (await noticeKnown(tx, gateway, notice)) return { ...notice, end: 'duplicate' }
    keepNotice(tx, gateway, notice, 'nothing')
    return { ...notice, end: 'nothing' }
  }, LOCK_MS)
}

/** Ask about what a notice is about in a shard: its payment, or else the charge that it is of. */
async function askedIn(
  { world, gateway, notice, home }: Taking,
  shard: Shard,
  runner: Runner,
): Promise<Seen> {
  const { paymentId, operation, parentRef, noNewsOf = [] } = notice
  const lookup = world.gateways.get(gateway)?.profile.lookup ?? 'none'
  const route = { gateway, operation }
  if (paymentId !== null && shard === home) {
    const cameBack = parentRef !== undefined
    const end = await pointed(runner, paymentId, { route, lookup, cameBack, noNewsOf })
    if (end !== 'nothing') return { end, paymentId, operation }
  }
  const parent = parentRef === undefined ? null : await findRef(runner, gateway, parentRef)
  if (parent === null) return { end: 'nothing', paymentId, operation }
  const charge = { gateway, operation: 'charge' } as const
  const asked = { route: charge, lookup, cameBack: true }
  return { ...charge, end: await pointed(runner, parent, asked), paymentId: parent }
}

/** `cameBack`: the notice is about something that is a part of the payment. */
interface Pointed extends Noticed {
  readonly route: Route
  readonly lookup: GatewayProfile['lookup']
}

/**
 * Ask sooner about a payment, and look at it again where it is final, or once it is: it may end by
 * an answer that knows nothing of what came back, or of what was done after all.
 */
async function pointed(
  shard: Runner,
  paymentId: bigint,
  { route, lookup, ...told }: Pointed,
): Promise<Seen['end']> {
  const hurried = await hurryTask(shard, paymentId, route)
  if (lookup === 'none') return hurried ? 'hurried' : 'nothing'
  const watched = await watchNoticed(shard, paymentId, route, told)
  return hurried ? 'hurried' : watched ? 'watched' : 'nothing'
}
