/** What is known of the work that waits for one route. Ages in milliseconds. */
export interface RouteLoad {
  /** How long the gateway has been out of reach; null: it is not. */
  readonly outageMs: number | null
  /**
   * Age of the oldest due task, of those that were there before somebody could see them no more
   * than the time since; 0: none is due.
   */
  readonly oldestDueMs: number
  /** How long ago the breaker closed after an outage; null: there was none. */
  readonly closedMs: number | null
  /** Tasks that are due within a minute; counted only in an outage. */
  readonly waiting: number
}

/** How much may wait. 0 switches a limit off. */
export interface AdmissionPolicy {
  readonly ageMsMax: number
  readonly outageMsMax: number
  readonly outageTasksMax: number
}

/** Why a payment is turned away before anything is decided about it. */
export type AdmissionRefusal = 'overloaded' | 'gateway_unavailable'

/**
 * Whether new payments of a route have to be refused; null: they are accepted.
 *
 * While the gateway works, by the age of the oldest task that could have been claimed: by age and
 * not by depth, because a deep queue that moves is fine. A task could not be claimed during an
 * outage, nor, as far as anybody can tell, before somebody was there to see it: after a minute's
 * downtime the first overdue task is no sign of too much work.
 *
 * While the gateway is out of reach nothing moves, so age says nothing: payments wait for it, up to
 * a time and a number. Not for ever, because they all come back at once. If none waits the next one
 * is accepted whatever the time, because nothing else would find out that the gateway is back.
 */
export function admissionRefusal(
  load: RouteLoad,
  policy: AdmissionPolicy,
): AdmissionRefusal | null {
  const { ageMsMax, outageMsMax, outageTasksMax } = policy
  if (load.outageMs === null) {
    const ageMs = Math.min(load.oldestDueMs, load.closedMs ?? Infinity)
    return exceeds(ageMs, ageMsMax) ? 'overloaded' : null
  }
  const tooLong = exceeds(load.outageMs, outageMsMax) && load.waiting > 0
  const tooMany = outageTasksMax > 0 && load.waiting >= outageTasksMax
  return tooLong || tooMany ? 'gateway_unavailable' : null
}

function exceeds(ms: number, msMax: number): boolean {
  return msMax > 0 && ms > msMax
}
