import { isUnproven } from '../domain/doubt.ts'
import type { Settlement } from './charge.ts'
import type { AttemptMade } from './evidence-store.ts'

/** The evidence of claims. A question out of turn that learned nothing leaves none. */
export function attemptsOf(
  settlements: readonly Settlement[],
  late: boolean,
  nowMs: number,
): AttemptMade[] {
  const telling = settlements.filter(({ decision }) => decision.step !== 'leave')
  return telling.flatMap(({ claim, calls }) =>
    calls.map((call, index) => ({
      paymentId: claim.payment.id,
      fence: claim.task.fence,
      call: index + 1,
      kind: call.kind,
      // What may be another's refusal is evidence of a doubt.
      outcome: isUnproven(call.outcome) ? 'in_doubt' : call.outcome.kind,
      reason: 'reason' in call.outcome ? call.outcome.reason : null,
      sent: call.sent,
      httpStatus: call.httpStatus,
      ageMs: Math.max(0, Math.round(nowMs - call.startedMs)),
      tookMs: call.tookMs,
      late,
    })),
  )
}
