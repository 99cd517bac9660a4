import type { CarriedType } from '../domain/payment.ts'
import type { Clock } from '../ports.ts'

/** A notice of the contract: something happened to this payment. */
interface Notice {
  readonly paymentId: number
  readonly type: CarriedType
}

/** What became of one that was sent. */
interface Answer {
  readonly status: number
  /** What Retry-After asks for, in milliseconds; null: nothing. */
  readonly retryAfterMs: number | null
}

interface NoticesOptions {
  readonly clock: Pick<Clock, 'sleep'>
  /** Throws where nobody can be told. */
  readonly send: (notice: Notice) => Promise<Answer>
  /** Told of one that is not sent any more, and why. */
  readonly onGivenUp: (notice: Notice, why: unknown) => void
}

/** Notices that wait at most; those beyond are given up. */
const WAITING_MAX = 10_000
/** How often one is sent that nobody takes: with the pauses, for about an hour. */
const SENT_MAX = 20
/** Pauses double from the first to the longest, in milliseconds. */
const PAUSE_MS = 500
const PAUSE_MS_MAX = 300_000

/** Sends what the gateway has to say, one notice after the other, until each is taken. */
interface Notices {
  tell(notice: Notice): void
  /** Nothing is sent any more. */
  stop(): void
}

/**
 * Notices in their order, one at a time. One that is answered with 429 or 5xx, or by nobody, is
 * sent again after a pause that grows each time, or as long as it was asked to wait; the others
 * wait behind it, so that a limit is never run into twice as fast. Any other answer ends it.
 */
export function openNotices({ clock, send, onGivenUp }: NoticesOptions): Notices {
  const waiting = new Map<string, Notice>()
  const stopped = new AbortController()
  const { signal } = stopped
  let busy = false
  const deliver = async (notice: Notice): Promise<void> => {
    let why: unknown = null
    for (let sent = 0; sent < SENT_MAX && !signal.aborted; sent += 1) {
      const answer = await send(notice).catch((error: unknown) => {
        why = error
        return null
      })
      if (answer !== null && answer.status !== 429 && answer.status < 500) return
      if (answer !== null) why = answer.status
      const pauseMs = Math.min(PAUSE_MS * 2 ** sent, PAUSE_MS_MAX)
      await clock.sleep(Math.max(pauseMs, answer?.retryAfterMs ?? 0), signal)
    }
    if (!signal.aborted) onGivenUp(notice, why)
  }
  const deliverAll = async (): Promise<void> => {
    for (const [name, notice] of waiting) {
      if (signal.aborted) break
      // What happens from now on needs another one.
      waiting.delete(name)
      await deliver(notice)
    }
    busy = false
  }
  return {
    tell(notice) {
      const name = `${notice.type} ${notice.paymentId}`
      if (signal.aborted || waiting.has(name)) return
      if (waiting.size >= WAITING_MAX) return onGivenUp(notice, 'too many wait')
      waiting.set(name, notice)
      if (busy) return
      busy = true
      void deliverAll()
    },
    stop: () => stopped.abort(),
  }
}
