import type { Route } from '../domain/payment.ts'
import type { Db, Gateway, Notice, RawNotice, Runner } from '../ports.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import { findRef } from '../payments/gateway-refs-store.ts'
import { hurryTask } from '../queue/store.ts'
import { keepNotice, noticeKnown } from './notices-store.ts'
import { watchNoticed } from '../queue/watches-store.ts'

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

type Taken =
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
): Promise<Taken> {
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
  const about = await found(world, name, notice)
  const verdict = await (notice.kind === 'hint' ? hinted : kept)(world, name, about)
  onNotice(name, verdict)
  const { operation } = about
  if (verdict === 'hurried') world.onHurried({ gateway: name, operation })
  if (verdict === 'watched') world.onWatched()
  return { kind: 'taken' }
}

type About = Extract<Notice, { kind: 'authentic' | 'hint' }>

/**
 * A notice that names none of our payments is about the charge that it is a part of, if that is
 * ours: it is looked for in every shard. Throws where one cannot be asked and no other has it, so
 * that the notice is sent again.
 */
async function found({ db }: NoticeWorld, gateway: string, notice: About): Promise<About> {
  const { paymentId, parentRef } = notice
  if (paymentId !== null || parentRef === undefined) return notice
  const asked = await eachInTurn(db.shards, (shard) => findRef(shard, gateway, parentRef))
  const parent = asked.done.find(({ value }) => value !== null)?.value ?? null
  if (parent === null) whole(asked)
  return parent === null ? notice : { ...notice, paymentId: parent, operation: 'charge' }
}

/** What a hint comes to: nothing of it is kept. */
async function hinted(world: NoticeWorld, gateway: string, notice: About): Promise<NoticeEnd> {
  const { paymentId } = notice
  if (paymentId === null) return 'nothing'
  return await pointed(world, world.db.of(paymentId), gateway, { ...notice, paymentId })
}

/** How long the locks of a notice may take, in milliseconds: whoever sent it sends it again. */
const LOCK_MS = 2_000

/**
 * What an authentic notice comes to, the first time it comes. It is kept in the transaction that
 * does what it asks for, so that one which was answered is never lost, and one that was not is new.
 */
function kept(world: NoticeWorld, gateway: string, notice: About): Promise<NoticeEnd> {
  const { paymentId } = notice
  return world.db.of(paymentId ?? 0n).transaction(async (tx) => {
    if (await noticeKnown(tx, gateway, notice)) return 'duplicate'
    const verdict =
      paymentId === null ? 'nothing' : await pointed(world, tx, gateway, { ...notice, paymentId })
    keepNotice(tx, gateway, notice, verdict)
    return verdict
  }, LOCK_MS)
}

/** Ask sooner about the payment that a notice points at, or look at it again where it is final. */
async function pointed(
  { gateways }: NoticeWorld,
  shard: Runner,
  gateway: string,
  { paymentId, operation, parentRef }: About & { readonly paymentId: bigint },
): Promise<NoticeEnd> {
  const route = { gateway, operation }
  if (await hurryTask(shard, paymentId, route)) return 'hurried'
  if (gateways.get(gateway)?.profile.lookup === 'none') return 'nothing'
  if (operation !== 'refund') {
    return (await watchNoticed(shard, paymentId, route)) ? 'watched' : 'nothing'
  }
  // A final refund is looked at with its deposit, which is in the same shard.
  const parent = parentRef === undefined ? null : await findRef(shard, gateway, parentRef)
  const charge = { gateway, operation: 'charge' } as const
  const watched = parent !== null && (await watchNoticed(shard, parent, charge))
  return watched ? 'watched' : 'nothing'
}
