import type { Route } from '../domain/payment.ts'
import type { Db, Gateway, RawNotice } from '../ports.ts'
import { hurryTask } from '../queue/store.ts'
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
 * What became of a notice: only the first three cost more than reading it, and `crowded` ones were
 * not even read. `watched`: it is about a final payment, which is looked at now.
 */
export type NoticeEnd =
  'hurried' | 'watched' | 'nothing' | 'ignored' | 'refused' | 'limited' | 'crowded'

type Taken =
  | { readonly kind: 'taken' }
  | { readonly kind: 'limited'; readonly waitMs: number }
  | { readonly kind: 'refused'; readonly code: 'gateway_not_found' | 'notice_refused' }

/**
 * Take a notice: a hint at which payment is worth asking about, and nothing else. What is not the
 * gateway's, or names no payment that it has in hand, costs no lookup and leaves nothing behind.
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
  const paymentId = notice.kind === 'ignored' ? null : notice.paymentId
  if (notice.kind === 'ignored' || paymentId === null) {
    onNotice(name, notice.kind === 'ignored' ? 'ignored' : 'nothing')
    return { kind: 'taken' }
  }
  const waitMs = notice.kind === 'hint' ? take(name) : 0
  if (waitMs > 0) {
    onNotice(name, 'limited')
    return { kind: 'limited', waitMs }
  }
  onNotice(name, await pointed(world, paymentId, { gateway: name, operation: notice.operation }))
  return { kind: 'taken' }
}

/** Ask sooner about the payment that a notice points at, or look at it again where it is final. */
async function pointed(
  { db, gateways, onHurried, onWatched }: NoticeWorld,
  paymentId: bigint,
  route: Route,
): Promise<NoticeEnd> {
  const shard = db.of(paymentId)
  if (await hurryTask(shard, paymentId, route)) {
    onHurried(route)
    return 'hurried'
  }
  const asks = gateways.get(route.gateway)?.profile.lookup !== 'none'
  if (!asks || !(await watchNoticed(shard, paymentId, route))) return 'nothing'
  onWatched()
  return 'watched'
}
