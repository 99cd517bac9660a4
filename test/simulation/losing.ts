import type { Answer, PaymentDraft } from '../../src/domain/acceptance.ts'
import { actWorld } from './act-world.ts'
import { insist } from './asking.ts'
import { book, BY, returnOf, some } from './booking.ts'
import { must } from './promises.ts'
import type { PaymentRow } from './tables.ts'
import type { World } from './world-types.ts'

/**
 * Somebody says of a payout in doubt that it failed, and its user spends what that gives back. Then
 * it is found at the gateway: it is booked at a loss, and comes back in parts.
 */
export async function loseOne(world: World, own: string): Promise<void> {
  const { faults, gateway, tables } = world
  const lost = ({ id, type, status }: PaymentRow) =>
    type === 'withdraw' && status === 'unknown' && gateway.journal.executed.has(id)
  const from = await some(world, lost, 500)
  if (from.length === 0) return
  const { id, userId, gatewayKey } = faults.pick(from)
  const letterId = [...tables.letters.rows.values()].find(({ paymentId }) => paymentId === id)?.id
  if (letterId === undefined) return
  const no = { letterId, outcome: 'failed', gatewayRef: null, againstEvidence: true } as const
  await insist(world, (api) => world.acts.resolve(actWorld(world, api), BY, [no]))
  await spendAll(world, userId, `spent-${own}`)
  const yes = { letterId, gatewayRef: `gw-${gatewayKey}`, againstEvidence: true }
  const [answer] = await insist(world, (api) => world.acts.correct(actWorld(world, api), BY, [yes]))
  world.count(answer?.kind === 'refused' ? `correct_${answer.refusal.code}` : 'corrected')
  for (let part = faults.between(1, 4); part > 0; part -= 1) {
    const payment = tables.payments.get(id)
    must(payment !== undefined, 'what was corrected is there', id)
    await book(world, returnOf(world, payment as PaymentRow))
  }
}

/** A withdrawal of all that a user can spend, but for a commission. */
async function spendAll(world: World, userId: bigint, key: string): Promise<void> {
  const { tables, clients } = world
  const available = tables.users.get(userId)?.available ?? 0n
  const amount = available - available / 20n - 10n
  if (amount <= 0n) return
  const draft: PaymentDraft = { type: 'withdraw', userId, amount, idempotencyKey: key }
  const [answer] = await insist<readonly Answer[]>(world, ({ accept }) => accept([draft]))
  const busy = answer?.kind === 'refused' && answer.refusal.code === 'busy'
  if (answer !== undefined && !busy) clients.answered(draft, answer)
}
