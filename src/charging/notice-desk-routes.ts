import type { FastifyRequest } from 'fastify'
import { JSON_TYPE, refusalAnswer, type HttpAnswer } from '../http/answer.ts'
import type { Caller } from '../http/caller.ts'
import { allowance } from '../http/rate-limit.ts'
import type { Clock, RawNotice } from '../ports.ts'
import { noticeRoom } from './notice-room.ts'
import { takeNotice, type NoticeWorld, type NoticeTaken } from './notices.ts'

interface DeskWorld extends NoticeWorld {
  readonly clock: Pick<Clock, 'elapsedMs'>
  /** Where a request comes from, behind trusted proxies. */
  readonly callerOf: (request: FastifyRequest['raw']) => Caller
}

/** Where notices come in, whoever read them off the wire: all are counted together. */
export interface NoticeDesk extends Pick<DeskWorld, 'callerOf'> {
  /**
   * Let a notice in by what is known before its body of `length` bytes. What a function is returned
   * for is read, and takes room until that is called.
   */
  enter(name: string, caller: Caller, length: number): NoticeTaken | (() => void)
  /** Take one that was let in. */
  take(
    name: string,
    caller: Caller,
    sent: Pick<RawNotice, 'headers' | 'body'>,
  ): Promise<NoticeTaken>
  answer(taken: NoticeTaken, requestId: string): HttpAnswer
}

/** The largest body of a notice. */
export const NOTICE_BYTES_MAX = 256 * 1_024

/**
 * Notices that nobody has signed are looked into so often a second, of each caller that is not
 * known to be the gateway.
 */
const HINTS_MAX = 5
/** And of all callers together, for each gateway: one of them cannot use up what is the others'. */
const HINTS_TOTAL_MAX = 50
const HINTS_MS = 1_000

/** What is read at the same time of others is told to come back after this. */
const CROWDED = { kind: 'limited', waitMs: HINTS_MS } as const

export function noticeDesk(world: DeskWorld): NoticeDesk {
  const { gateways, callerOf, onNotice } = world
  const takeHint = hintLimits(world.clock)
  const takers = [...gateways.values()].filter(({ readNotice }) => readNotice !== undefined)
  const room = noticeRoom(takers.length)
  return {
    callerOf,
    enter(name, { address, network }, length) {
      const gateway = gateways.get(name)
      if (gateway?.readNotice === undefined) return NO_GATEWAY
      if (gateway.sendsFrom?.(address) === false) {
        onNotice(name, 'refused')
        return REFUSED
      }
      // What says that it is larger is refused as such.
      if (length > NOTICE_BYTES_MAX) return nothing
      const leave = room.take(name, network, length)
      if (leave === null) onNotice(name, 'crowded')
      return leave ?? CROWDED
    },
    take(name, { address, network }, { headers, body }) {
      const raw = { source: address, headers, body }
      return takeNotice(world, name, raw, () => {
        // What the gateway itself may have sent comes from a few addresses of its own.
        const known = gateways.get(name)?.sendsFrom?.(address) === true
        return takeHint(name, known ? null : network)
      })
    },
    answer(taken, requestId) {
      if (taken.kind === 'taken') return RECEIVED
      if (taken.kind === 'refused') return refusalAnswer({ code: taken.code }, requestId)
      const limited = refusalAnswer({ code: 'rate_limited' }, requestId)
      const seconds = String(Math.ceil(taken.waitMs / 1_000))
      return { ...limited, headers: [...limited.headers, 'retry-after', seconds] }
    },
  }
}

const NO_GATEWAY = { kind: 'refused', code: 'gateway_not_found' } as const
const REFUSED = { kind: 'refused', code: 'notice_refused' } as const
const RECEIVED: HttpAnswer = { status: 200, headers: JSON_TYPE, body: { received: true } }

function nothing(): void {
  // It takes no room.
}

/**
 * Take a hint of a caller for a gateway; how long it has to wait otherwise. Null: of the gateway
 * itself, by where it comes from.
 */
function hintLimits({ elapsedMs }: Pick<Clock, 'elapsedMs'>) {
  const ofEach = allowance({ max: HINTS_MAX, windowMs: HINTS_MS, elapsedMs })
  const all = allowance({ max: HINTS_TOTAL_MAX, windowMs: HINTS_MS, elapsedMs })
  return (gateway: string, network: string | null): number => {
    if (network === null) return all.take(gateway)
    const key = `${gateway} ${network}`
    const waitMs = ofEach.take(key)
    if (waitMs > 0) return waitMs
    const sharedMs = all.take(gateway)
    if (sharedMs > 0) ofEach.giveBack(key)
    return sharedMs
  }
}
