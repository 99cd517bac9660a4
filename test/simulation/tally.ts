import type { PaymentRow, PostingRow } from './tables.ts'
import type { World } from './world-types.ts'

/** Count what a history came to. */
export function tally(world: World): void {
  for (const payment of world.tables.payments.rows.values()) tallyPayment(world, payment)
  for (const posting of world.tables.postings.rows.values()) tallyPosting(world, posting)
  for (const letter of world.tables.letters.rows.values()) {
    world.count(`letter_${letter.class}`)
    if (letter.error === 'charged_after_failed') world.count('charged_after_failed')
  }
  for (const { act, after } of world.tables.acts.rows.values()) {
    world.count(`act_${act}_${after['payment']}`)
    if (after['against_evidence']) world.count('act_insisted')
    if (after['evidence']) world.count('act_by_evidence')
    if (after['repeated_by']) world.count('act_repeat')
  }
  for (const attempt of world.tables.attempts.rows.values()) {
    if (attempt.late) world.count('late_evidence')
    if (attempt.reason === 'worker_lost') world.count('worker_lost')
  }
}

function tallyPayment(world: World, payment: PaymentRow): void {
  const { type, status, returnKind, feeReturned, lastError, redriveOf } = payment
  const given = type === 'refund' || type === 'return'
  world.count(given ? `${type}_${returnKind ?? status}` : `payment_${status}`)
  if (given && (feeReturned ?? 0n) > 0n) world.count(`${type}_fee`)
  if (payment.currency !== null) world.count(`in_${payment.currency}_${status}`)
  if (lastError === 'canceled') world.count(`canceled_${type}`)
  if (type === 'refund' && redriveOf !== null) world.count('refund_repeated')
}

function tallyPosting(world: World, { losses, kind, paymentId }: PostingRow): void {
  if (losses !== 0n) world.count(losses < 0n ? 'lost' : 'won_back')
  if (kind === 'settle_late') world.count('settled_late')
  if (kind === 'settle_late' && losses < 0n) world.count('settled_at_a_loss')
  const back = losses > 0n ? world.tables.payments.get(paymentId)?.returnKind : null
  if (back === 'payout_returned') world.count('loss_repaid')
}
