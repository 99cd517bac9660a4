import type { RefundAnswer, RefundDraft } from '../../src/domain/refund.ts'
import { endPending } from '../../src/charging/refresh.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import { actWorld } from './act-world.ts'
import { refundDraft } from './asked.ts'
import { comeBackThere } from './back-there.ts'
import { expected, insist, Lost, nap, untilDeath } from './asking.ts'
import { book, BY, KINDS, returnOf, some } from './booking.ts'
import { written } from './currencies.ts'
import { userLock } from './handlers.ts'
import { loseOne } from './losing.ts'
import { must } from './promises.ts'
import { isCorrected } from './watch-statements.ts'
import type { LetterRow, PaymentRow } from './tables.ts'
import type { World } from './world-types.ts'

/**
 * One clerk: refunds, cancels, books what came back, corrects and edits, one deed after the other,
 * beside workers, operators and other clerks.
 */
export async function runClerk(world: World, index: number): Promise<void> {
  const { faults, plan } = world
  const deeds = deedsOf(plan)
  for (let deed = 0; deed < plan.deeds; deed += 1) {
    // Few histories have any, so they come first where there are some.
    const alone = plan.watchMs.length > 0 || plan.loses
    const executed = alone ? 0 : charged(world).length + foundThere(world).length
    const doing = executed > 0 ? faults.pick([correctOne, faults.pick(deeds)]) : null
    await (doing ?? faults.pick(deeds))(world, `${index}.${deed}`)
  }
}

function deedsOf({ endsPending, watchMs, loses }: World['plan']) {
  if (loses) return [loseOne, loseOne, loseOne, bookOne, refundSome]
  // What came back is found there, and nobody books it by hand.
  if (watchMs.length > 0) return [refundSome, cancelSome, editOne, ...COMING_BACK]
  return endsPending ? [...DEEDS, endOne, endOne, endOne] : DEEDS
}

const COMING_BACK = [comeBackThere, comeBackThere, comeBackThere, comeBackThere] as const

const DEEDS = [
  refundSome,
  refundSome,
  cancelSome,
  cancelSome,
  bookOne,
  bookOne,
  mistakeOne,
  correctOne,
  misreadOne,
  editOne,
] as const

/** Open letters of payments that failed and were executed. */
function charged({ tables }: World): readonly LetterRow[] {
  const open = [...tables.letters.rows.values()].filter(({ state }) => state === 'open')
  return open.filter(({ error, type }) => error === 'charged_after_failed' && type !== 'refund')
}

/** Refunds of one deposit, or now and then of something that cannot be given back. */
async function refundSome(world: World, own: string): Promise<void> {
  const { faults } = world
  const odd = faults.between(0, 15) === 0
  const from = await some(
    world,
    ({ type, status }) => odd || (type === 'deposit' && status === 'success'),
  )
  if (from.length === 0) return
  const parent = faults.pick(from)
  const drafts = Array.from({ length: faults.pick([1, 1, 2, 3]) }, (_, item) => {
    const shared = `shared-${faults.between(0, 4)}`
    const key = faults.pick([`refund-${own}.${item}`, `refund-${own}.${item}`, shared, null])
    return refundDraft(parent.id, partOf(world, parent), key)
  })
  await askRefunds(world, drafts)
}

/** All that is left, the whole, a part, the least there is, or more than there was. */
function partOf({ faults }: World, { amount, currency }: PaymentRow): string | null {
  const part = BigInt(faults.between(1, Number(amount)))
  const asked = faults.pick([null, amount, part, part, part / 4n + 1n, 1n, amount + 1n])
  return asked === null ? null : written(asked, currency)
}

/** Send until answered; without a key an unknown outcome is never sent again. */
async function askRefunds(world: World, asked: readonly RefundDraft[]): Promise<void> {
  const { faults, refunds, plan } = world
  let drafts = asked
  while (drafts.length > 0) {
    const api = faults.pick(world.apis)
    const askedMs = world.steps.nowMs()
    const own = { db: api.db, ...feePolicies(plan) }
    try {
      const answers = await untilDeath(api, world.acts.refund(own, drafts))
      if (faults.fires('answer_lost')) throw new Lost('the answer was lost')
      drafts.forEach((draft, index) => hear(world, draft, answers[index] as RefundAnswer, askedMs))
      return
    } catch (error) {
      if (!expected(error) && !(error instanceof Lost)) throw error
    }
    await nap(world)
    drafts = drafts.filter(({ idempotencyKey }) => idempotencyKey !== null)
  }

  function hear(own: World, draft: RefundDraft, answer: RefundAnswer, askedMs: number): void {
    const refused = answer.kind === 'refused'
    own.count(refused ? `refund_${answer.refusal.code}` : 'refund_accepted')
    if (!refused || answer.refusal.code !== 'busy') return refunds.answered(draft, answer)
    const userId = own.tables.payments.get(draft.parentId)?.userId ?? -1n
    const lockedMs = own.db.foundLockedMs(userLock(userId))
    must(lockedMs >= askedMs, 'nobody is refused for another’s lock', answer.refusal)
  }
}

/** Whoever asked for payments wants them no more, while a worker may be about to claim them. */
async function cancelSome(world: World): Promise<void> {
  const { faults, tables, gateway } = world
  const open = await some(world, ({ status }) => status === 'new', 200)
  if (open.length === 0) return
  const chosen = open.slice(-faults.between(1, 6)).map(({ id }) => id)
  const raced = new Set(chosen)
  const answers = await insist(world, (api) => world.acts.cancel(api.db, BY, chosen))
  for (const [index, answer] of answers.entries()) {
    const id = chosen[index] as bigint
    if (raced.delete(id)) world.count('cancel_raced')
    world.count(answer.kind === 'refused' ? `cancel_${answer.refusal.code}` : 'cancel_canceled')
    if (answer.kind === 'refused') continue
    const payment = tables.payments.get(id)
    must(payment?.lastError === 'canceled', 'what was canceled stays so', payment)
    must(!gateway.journal.executed.has(id), 'what was canceled is never charged', payment)
  }
}

/** Somebody wants a payment ended that its gateway has in hand: whoever is free asks it to. */
async function endOne(world: World): Promise<void> {
  const { faults, tables } = world
  const inHand = ({ id, status }: PaymentRow) =>
    status === 'new' && (tables.tasks.get(id)?.pendings ?? 0) > 0
  const from = await some(world, inHand, 500)
  if (from.length === 0) return
  const { id, gateway } = faults.pick(from)
  const [answer] = await insist(world, ({ db }) => world.acts.cancel(db, BY, [id], true))
  if (answer?.kind !== 'ask') return
  const settled = await insist(world, (api) => endPending(world.charging(api, gateway), id))
  const [made] = settled?.settlements ?? []
  const end = made?.decision.step === 'fail' ? made.decision.reason : null
  world.count(end === 'canceled' ? 'ended_when_asked' : 'asked_to_end')
  if (end !== 'canceled') return
  const told = [...tables.letters.rows.values()].filter(({ paymentId }) => paymentId === id)
  const quiet = told.every((letter) => letter.class === 'unknown' && letter.state === 'resolved')
  must(quiet, 'what somebody wanted ended leaves nobody anything to do', told)
}

/** The gateway says that something came back, now and then twice, and of what never went there. */
async function bookOne(world: World): Promise<void> {
  const { faults } = world
  const odd = faults.between(0, 15) === 0
  const from = await some(world, ({ status, type }) => {
    return odd || (status === 'success' && KINDS[type] !== undefined)
  })
  // What was corrected is rare, and comes back as well.
  const late = [...world.tables.payments.rows.values()].filter((one) =>
    isCorrected(world.tables, one),
  )
  if (late.length > 0 && faults.pick([true, false])) {
    return void (await book(world, returnOf(world, faults.pick(late))))
  }
  if (from.length === 0) return
  await book(world, returnOf(world, faults.pick(from)))
}

/**
 * Somebody sees a refund of ours at the gateway while nobody knows here what became of it, and
 * books it as a return: unawares, or because somebody is sure that it is another one.
 */
async function mistakeOne(world: World): Promise<void> {
  const { faults, tables, gateway } = world
  const open = ({ status }: PaymentRow) => status === 'new' || status === 'unknown'
  const executed = ({ id }: PaymentRow) => gateway.journal.executed.has(id)
  const from = await some(world, (one) => one.type === 'refund' && open(one) && executed(one), 500)
  if (from.length === 0) return
  const { id, parentId, amount, gatewayKey } = faults.pick(from)
  const besidesRefund = faults.pick([true, false])
  const kind = faults.pick(['refunded_there', 'refunded_there', 'charged_back'] as const)
  const draft = { parentId: parentId ?? 0n, kind, amount, ref: `gw-${gatewayKey}`, besidesRefund }
  const booked = await book(world, draft)
  if (!booked || besidesRefund || kind === 'charged_back') return
  const failed = tables.payments.get(id)?.status === 'failed'
  must(failed, 'what may be a refund in doubt is not booked unawares', draft)
}

/**
 * The money of a payment that failed and was executed is booked, by whoever is first: by a late yes
 * or because somebody has found it at the gateway.
 */
async function correctOne(world: World): Promise<void> {
  const { faults, tables } = world
  const open = [...tables.letters.rows.values()].filter(({ state }) => state === 'open')
  const [late, seen] = [charged(world), foundThere(world)]
  const letters = [late, seen].find(({ length }) => length > 0) ?? open
  if (letters.length === 0) return nap(world)
  const letter = faults.pick(letters)
  const { id: letterId, paymentId, type } = letter
  const gatewayRef = seen.includes(letter) ? faults.pick(['gw-1', 'gw-2']) : null
  const correct = async (ref: string | null) => {
    const request = { letterId, gatewayRef: ref, againstEvidence: ref !== null }
    const [answer] = await insist(world, (api) =>
      world.acts.correct(actWorld(world, api), BY, [request]),
    )
    world.count(answer?.kind === 'refused' ? `correct_${answer.refusal.code}` : 'corrected')
    if (answer?.kind !== 'corrected') return
    if (answer.referenceTakenBy !== null) world.count('correct_reference_taken')
    if (ref !== null) {
      world.count('corrected_by_word')
      const said = [...tables.acts.rows.values()].find(
        (one) =>
          one.paymentId === paymentId && one.act === 'correct' && one.after['gateway_ref'] === ref,
      )
      must(said !== undefined, 'who is told that it is booked under a name finds that name', ref)
    }
    const userId = tables.payments.get(paymentId)?.userId
    const booked = tables.postings.get(`${userId} ${paymentId} settle_late`)
    must(booked !== undefined && type !== 'refund', 'a correction is booked', answer)
    // The payout that nobody knew of finds nobody to take it, either.
    const payment = tables.payments.get(paymentId)
    const comesBack = type === 'withdraw' && faults.pick([true, false])
    if (comesBack && payment !== undefined) await book(world, returnOf(world, payment))
  }
  // Two who see it take it for what it is, or for two things.
  const refs = faults.pick([[gatewayRef], [gatewayRef, gatewayRef && 'gw-1']])
  await Promise.all(refs.map(correct))
}

/**
 * Somebody sees at the gateway what a redrive did, takes it for the payment that was redriven, and
 * books it: the redrive books the same.
 */
async function misreadOne(world: World): Promise<void> {
  const { faults, tables, gateway } = world
  const seen = await some(
    world,
    ({ id, type, status, redriveOf }) =>
      redriveOf !== null &&
      type !== 'refund' &&
      status !== 'failed' &&
      gateway.journal.executed.has(id),
    500,
  )
  if (seen.length === 0) return
  const { id, redriveOf, gatewayKey } = faults.pick(seen)
  const letters = [...tables.letters.rows.values()]
  const letterId = letters.find(({ paymentId }) => paymentId === redriveOf)?.id
  if (letterId === undefined) return
  const gatewayRef = `gw-${gatewayKey}`
  const request = { letterId, gatewayRef, againstEvidence: true }
  const [answer] = await insist(world, (api) =>
    world.acts.correct(actWorld(world, api), BY, [request]),
  )
  world.count(answer?.kind === 'refused' ? `correct_${answer.refusal.code}` : 'misread')
  // Where somebody failed the redrive meanwhile, nobody can tell.
  if (tables.payments.get(id)?.status === 'failed') return
  const own = [...tables.acts.rows.values()].filter(({ paymentId }) => paymentId === redriveOf)
  const booked = own.find(
    ({ act, after }) => act === 'correct' && after['gateway_ref'] === gatewayRef,
  )
  must(booked === undefined, 'what a redrive did is booked once', booked)
}

/** Letters, closed ones too, of failed payments that the gateway has executed. */
function foundThere({ tables, gateway }: World): readonly LetterRow[] {
  return [...tables.letters.rows.values()].filter(({ paymentId, type, userId }) => {
    const failed = tables.payments.get(paymentId)?.status === 'failed'
    const booked = tables.postings.get(`${userId} ${paymentId} settle_late`) !== undefined
    const executed = (gateway.journal.executed.get(paymentId)?.length ?? 0) > 0
    return failed && executed && !booked && type !== 'refund'
  })
}

/** Somebody changes what is said about a payment; honest retries go on as they were. */
async function editOne(world: World): Promise<void> {
  const { faults } = world
  const from = await some(world, () => true)
  if (from.length === 0) return
  const { id } = faults.pick(from)
  const edit = faults.pick([
    { description: 'blue' },
    { description: null },
    { metadata: { a: 'b' } },
  ])
  const by = { actor: 'joe', requestId: 'r' }
  const refusal = await insist(world, (api) => world.acts.edit(api.db, id, edit, by))
  const done = refusal === null || refusal.code === 'reason_stays'
  must(done, 'a payment that exists can be edited', id)
  world.count('edited')
}
