import { ACCOUNT_NAMES } from '../../src/domain/ledger.ts'
import { tell } from './event-statements.ts'
import { ids, ints, texts, time, type Handler, type Handlers } from './handlers.ts'
import { count, inShard, refuseUnless, type LetterRow, type PostingRow } from './tables.ts'

/** Append journal entries, with the losses that they move where a statement sends them. */
const appending: Handler = {
  run(tables, values, context) {
    const [shard, at, userIds, paymentIds, kinds, ...amounts] = values
    ids(userIds).forEach((userId, index) => {
      const moved = (account: number): bigint =>
        amounts[account] === undefined ? 0n : (ids(amounts[account])[index] as bigint)
      const posting: PostingRow = {
        shard: Number(shard),
        userId,
        paymentId: ids(paymentIds)[index] as bigint,
        kind: texts(kinds)[index] as PostingRow['kind'],
        user: moved(0),
        held: moved(1),
        gateway: moved(2),
        fees: moved(3),
        opening: moved(4),
        losses: moved(5),
        createdAt: time(at, context),
      }
      const sum = ACCOUNT_NAMES.reduce((total, account) => total + posting[account], 0n)
      refuseUnless(sum === 0n, '23514', 'postings_balanced')
      const key = `${userId} ${posting.paymentId} ${posting.kind}`
      refuseUnless(tables.postings.get(key) === undefined, '23505', 'postings_pkey')
      tables.postings.set(key, posting)
    })
    return []
  },
}

/** The append-only tables and the dead letters: what is written about a payment, not its state. */
export const records: Handlers = {
  attempts_charged: {
    run: (tables, [shard, paymentIds]) => {
      const asked = new Set(ids(paymentIds))
      const charged = [...tables.attempts.rows.values()].filter(
        (attempt) =>
          attempt.shard === Number(shard) &&
          attempt.outcome === 'success' &&
          asked.has(attempt.paymentId),
      )
      return [...new Set(charged.map(({ paymentId }) => paymentId))].map((paymentId) => ({
        paymentId,
      }))
    },
  },
  attempts_insert: {
    run(tables, values, context) {
      const [shard, at, paymentIds, fences, calls, kinds, outcomes, reasons, sent] = values
      const [statuses, ages, took, late] = values.slice(9)
      ids(paymentIds).forEach((paymentId, index) => {
        const fence = ints(fences)[index] as number
        const call = ints(calls)[index] as number
        const key = `${paymentId} ${fence} ${call}`
        if (tables.attempts.get(key) !== undefined) return
        const status = texts(statuses)[index] ?? null
        tables.attempts.set(key, {
          shard: Number(shard),
          paymentId,
          fence,
          call,
          kind: texts(kinds)[index] as string,
          outcome: texts(outcomes)[index] as string,
          reason: texts(reasons)[index] ?? null,
          sent: texts(sent)[index] === 'true',
          httpStatus: status === null ? null : Number(status),
          startedAt: time(at, context) - (ints(ages)[index] as number),
          tookMs: ints(took)[index] as number,
          late: texts(late)[index] === 'true',
        })
      })
      return []
    },
  },
  postings_insert: appending,
  postings_insert_losses: appending,
  dead_letters_insert: {
    run(tables, values, context) {
      const [shard, at, letterIds, paymentIds, userIds, types, amounts, commissions] = values
      const [classes, errors, attempts, currencies] = values.slice(8)
      const fresh = ids(paymentIds).map((paymentId, index): LetterRow => ({
        shard: Number(shard),
        id: ids(letterIds)[index] as bigint,
        paymentId,
        userId: ids(userIds)[index] as bigint,
        type: texts(types)[index] as string,
        amount: ids(amounts)[index] as bigint,
        commission: ids(commissions)[index] as bigint,
        class: texts(classes)[index] as string,
        error: texts(errors)[index] as string,
        attempts: ints(attempts)[index] as number,
        currency: texts(currencies)[index] ?? null,
        state: 'open',
        createdAt: time(at, context),
        closedAt: null,
        closedBy: null,
        closedReason: null,
        redriveId: null,
      }))
      for (const letter of fresh) {
        const open = tables.letters.get(tables.openLetters.get(letter.paymentId) ?? -1n)
        if (open !== undefined) {
          const { class: kind, error } = letter
          const update = error === 'charged_after_failed'
          if (update) tables.letters.set(open.id, { ...open, class: kind, error })
          continue
        }
        tables.openLetters.set(letter.paymentId, letter.id)
        tables.letters.set(letter.id, letter)
        count(tables, shard, 'letters', 1)
        tell(tables, { ...letter, id: letter.paymentId }, 'dead_letter.opened', null)
      }
      return []
    },
  },
  dead_letters_close: {
    run(tables, [shard, at, paymentIds, reasons], context) {
      ids(paymentIds).forEach((paymentId, index) => {
        const letter = inShard(tables.letters, tables.openLetters.get(paymentId) ?? -1n, shard)
        if (letter === undefined) return
        tables.openLetters.delete(paymentId)
        tables.letters.set(letter.id, {
          ...letter,
          state: 'resolved',
          closedAt: time(at, context),
          closedBy: 'gateway',
          closedReason: texts(reasons)[index] ?? null,
        })
        tell(tables, { ...letter, id: paymentId }, 'dead_letter.closed', null)
      })
      return []
    },
  },
}
