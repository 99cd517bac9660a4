import { withShards } from '../../src/each-shard.ts'
import type { Db, Statement, Tx } from '../../src/ports.ts'
import { ids } from './handlers.ts'
import { both, mutant, NOTHING, statement, type Mutant } from './planting.ts'
import { GIVING, LATE, LOSING, MISTAKEN, REDRIVEN } from './plenty.ts'
import type { Acts, Plants } from './world-types.ts'

/** Histories in which refunds are in doubt, fail, and are acted on. */
const DOUBTED: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
  trouble: { reply_lost: 0.5, lookup_failed: 0.8, declined: 0.3 },
  plan: { ...GIVING.plan, operators: 2, acts: 20, steps: 800, attemptsMax: 1 },
}

/** A bug in giving back. */
function giving(name: string, about: string, plants: Plants): Mutant {
  return mutant(name, about, { ...GIVING, ...plants })
}

/** Read rows otherwise. */
function rows(name: string, change: (row: Record<string, unknown>) => object): Plants {
  return statement(name, (real) => ({
    ...real,
    run: (tables, values, context) =>
      real.run(tables, values, context).map((row) => change(row as Record<string, unknown>)),
  }))
}

/** An act that forgets to write something. */
function forgetting(name: keyof Acts, forgotten: string): Plants {
  const deaf = (tx: Tx): Tx => ({
    ...tx,
    run: (asked, values) => tx.run(asked, values),
    write: (asked, values) => (asked.name === forgotten ? undefined : tx.write(asked, values)),
  })
  const changed = (db: Db): Db =>
    withShards(db, (shard) => ({
      ...shard,
      transaction: (work, lockMs) => shard.transaction((tx) => work(deaf(tx)), lockMs),
    }))
  return {
    acts: ({ redrive, resolve, refund, cancel, book, correct, edit }) => {
      const all: Acts = {
        redrive: (world, ...rest) => redrive({ ...world, db: changed(world.db) }, ...rest),
        resolve: (world, ...rest) => resolve({ ...world, db: changed(world.db) }, ...rest),
        refund: (world, ...rest) => refund({ ...world, db: changed(world.db) }, ...rest),
        cancel: (db, ...rest) => cancel(changed(db), ...rest),
        book: (world, ...rest) => book({ ...world, db: changed(world.db) }, ...rest),
        correct: (world, ...rest) => correct({ ...world, db: changed(world.db) }, ...rest),
        edit: (db, ...rest) => edit(changed(db), ...rest),
      }
      const real: Acts = { redrive, resolve, refund, cancel, book, correct, edit }
      return { ...real, [name]: all[name] }
    },
  }
}

/** What goes back of a payment is moved otherwise, where it is given up again. */
function released(change: (reserved: bigint) => bigint): Plants {
  return statement('payments_move_given_back', (real) => ({
    run(tables, values, context) {
      const lowered = (column: unknown) =>
        `{${ids(column)
          .map((by) => (by < 0n ? change(by) : by))
          .join()}}`
      const wrong = values.with(2, lowered(values[2])).with(3, lowered(values[3]))
      return real.run(tables, wrong, context)
    },
  }))
}

/** Rows are read behind no lock. */
const unlocked = (name: string): Plants =>
  statement(name, (real) => ({
    run: (tables, values, context) => real.run(tables, values, { ...context, mine: () => true }),
  }))

/** A redriven refund gets a key of its own, so the gateway takes it for another. */
const REFUND_KEY_RENEWED = statement('payments_reopen', (real) => ({
  run(tables, values, context) {
    const done = real.run(tables, values, context)
    for (const id of ids(values[1])) {
      const payment = tables.payments.get(id)
      if (payment?.type !== 'refund') continue
      tables.payments.set(id, { ...payment, gatewayKey: `${payment.gatewayKey}-again` })
    }
    return done
  },
}))

/** What nobody can pay for is taken from what was earned. */
const LOSSES_ARE_FEES = statement('postings_insert_losses', (real) => ({
  run(tables, values, context) {
    const sums = ids(values[8]).map((fees, index) => fees + (ids(values[10])[index] ?? 0n))
    const wrong = values.with(8, `{${sums.join()}}`).with(10, `{${sums.map(() => 0n).join()}}`)
    return real.run(tables, wrong, context)
  },
}))

/** Who books a charge-back sees no refund; where we keep the commission, only users can pay. */
const REFUNDS_UNSEEN: Plants = {
  plan: { ...GIVING.plan, returnFee: 'keep' },
  acts: (real) => ({
    ...real,
    book: (world, ...rest) => real.book({ ...world, db: withoutRefunds(world.db) }, ...rest),
  }),
}

function withoutRefunds(db: Db): Db {
  const blind = (tx: Tx): Tx => ({
    ...tx,
    write: (asked, values) => tx.write(asked, values),
    async run<Row>(asked: Statement<Row>, values: readonly unknown[]) {
      const found = await tx.run(asked, values)
      if (asked.name !== 'payments_lock_parents') return found
      return found.map((row) => ({ ...row, refundReserved: 0n }))
    },
  })
  return withShards(db, (shard) => ({
    ...shard,
    transaction: (work, lockMs) => shard.transaction((tx) => work(blind(tx)), lockMs),
  }))
}

let told = 0
/** Each time that something is told to have come back, it is booked under another reference. */
const TOLD_IS_BOOKED: Plants = {
  acts: (real) => ({
    ...real,
    book: (world, by, drafts) =>
      real.book(
        world,
        by,
        drafts.map((draft) => ({ ...draft, ref: `${draft.ref}-${(told += 1)}` })),
      ),
  }),
}

/** A correction makes a success of what failed. */
const CORRECTED_IS_SUCCESS = statement('postings_insert', (real) => ({
  run(tables, values, context) {
    const done = real.run(tables, values, context)
    for (const { kind, paymentId } of tables.postings.rows.values()) {
      const payment = tables.payments.get(paymentId)
      if (kind !== 'settle_late' || payment === undefined) continue
      tables.payments.set(paymentId, { ...payment, status: 'success' })
    }
    return done
  },
}))

/** Bugs in what goes back: refunds, returns, cancelations and corrections. */
export const BACK_MUTANTS: readonly Mutant[] = [
  giving(
    'refund_sums_unmoved',
    'a refund leaves no trace on its deposit',
    statement('payments_move_given_back', () => NOTHING),
  ),
  giving(
    'refund_beyond_payment',
    'what other refunds took is not looked at',
    rows('payments_lock_parents', (row) => ({ ...row, refundReserved: 0n })),
  ),
  giving(
    'refund_of_returned',
    'what was charged back is refunded as well',
    rows('payments_lock_parents', (row) => ({ ...row, returned: 0n })),
  ),
  giving(
    'fee_by_order',
    'each refund returns its share as if it were the first',
    rows('payments_lock_parents', (row) => ({ ...row, feeReserved: 0n })),
  ),
  giving(
    'reserved_released_twice',
    'a refund that fails gives back twice what it reserved',
    released((by) => by * 2n),
  ),
  giving(
    'reserved_for_ever',
    'a refund that fails takes its part for good',
    released(() => 0n),
  ),
  giving(
    'refunds_without_locks',
    'refunds of one deposit are decided side by side',
    both(unlocked('users_lock'), unlocked('payments_lock_parents')),
  ),
  giving(
    'refund_of_another',
    'the gateway is told to give back another payment',
    rows('payments_refund_shares', (row) => ({ ...row, parentId: 1n })),
  ),
  giving('refund_key_renewed', 'a redriven refund is asked for under a new key', {
    ...REFUND_KEY_RENEWED,
    ...DOUBTED,
  }),
  giving('repeat_reserves_nothing', 'a refund that is repeated takes nothing of its deposit', {
    ...forgetting('redrive', 'payments_move_given_back'),
    ...DOUBTED,
  }),
  giving('word_keeps_reserved', 'a refund that somebody says failed takes its part for good', {
    ...forgetting('resolve', 'payments_move_given_back'),
    ...DOUBTED,
  }),
  giving(
    'cancel_wins_after_claim',
    'what a worker has in hand is canceled',
    rows('tasks_lock_seen', (row) => ({ ...row, leased: false, sent: false })),
  ),
  giving(
    'cancel_in_doubt',
    'what may have been sent is canceled when nobody has it in hand',
    rows('tasks_lock_seen', (row) => ({ ...row, sent: false })),
  ),
  giving(
    'cancel_without_lock',
    'a worker claims what is being canceled',
    unlocked('tasks_lock_seen'),
  ),
  giving(
    'cancel_keeps_task',
    'what is canceled is charged later',
    forgetting('cancel', 'tasks_delete'),
  ),
  giving(
    'cancel_keeps_reserved',
    'a refund that is canceled takes its part for good',
    forgetting('cancel', 'payments_move_given_back'),
  ),
  giving(
    'cancel_unrecorded',
    'nobody knows who canceled',
    forgetting('cancel', 'operator_acts_insert'),
  ),
  giving('told_is_booked', 'what came back is booked each time that it is told', TOLD_IS_BOOKED),
  giving('refund_booked_twice', 'a refund that was booked as a return moves money again', {
    ...statement('payments_booked_under', () => NOTHING),
    ...MISTAKEN,
  }),
  giving('return_unawares', 'what may be a refund in doubt is booked as a return', {
    acts: (real) => ({
      ...real,
      book: (world, by, drafts) =>
        real.book(
          world,
          by,
          drafts.map((draft) => ({ ...draft, besidesRefund: true })),
        ),
    }),
    ...MISTAKEN,
  }),
  giving('taken_back_in_part', 'a user gets nothing back of a return that was a refund', {
    ...rows('payments_children', (row) =>
      row['kind'] === 'refunded_there' ? { ...row, user: 0n } : row,
    ),
    ...MISTAKEN,
  }),
  giving('losses_are_fees', 'what no user can pay is taken from the fees', LOSSES_ARE_FEES),
  giving('pays_twice', 'a user pays for a charge-back of what was refunded', REFUNDS_UNSEEN),
  giving(
    'return_keeps_task',
    'a refund that a charge-back cancels is asked for later',
    forgetting('book', 'tasks_delete'),
  ),
  giving(
    'return_cancels_sent',
    'a charge-back cancels refunds that may have been sent',
    rows('tasks_lock_seen_free', (row) => ({ ...row, leased: false, sent: false })),
  ),
  giving(
    'dispute_pays_user_first',
    'money from a dispute is the user’s before our losses are paid',
    rows('payments_children', (row) => ({ ...row, user: row['losses'], losses: row['user'] })),
  ),
  mutant('loss_not_repaid', 'a payout that comes back is the user’s before our loss is paid', {
    ...rows('postings_corrected', (row) => ({ ...row, losses: 0n })),
    ...LOSING,
  }),
  mutant('loss_repaid_again', 'each part of a payout that comes back pays the whole loss', {
    ...rows('payments_children', (row) =>
      row['kind'] === 'payout_returned' ? { ...row, losses: 0n } : row,
    ),
    ...LOSING,
  }),
  mutant('correct_unawares', 'a redrive is booked as a correction as well', {
    ...statement('payments_relatives', () => NOTHING),
    ...REDRIVEN,
  }),
  mutant('correct_twice', 'two operators book the same money', {
    ...both(
      statement('postings_corrected', () => NOTHING),
      forgetting('correct', 'dead_letters_end'),
    ),
    ...LATE,
  }),
  mutant('correct_unwatched', 'what is corrected is not looked at', {
    ...forgetting('correct', 'watches_insert'),
    ...LATE,
  }),
  mutant('correct_keeps_no_name', 'what a gateway calls a corrected deposit is forgotten', {
    ...forgetting('correct', 'gateway_refs_keep_said'),
    ...LATE,
  }),
  mutant('resolve_unwatched', 'what somebody says was executed is not looked at', {
    ...forgetting('resolve', 'watches_insert'),
    ...DOUBTED,
  }),
  mutant('correct_differs_unseen', 'what is booked under one name is booked under any', {
    ...statement('payments_corrected_as', (real) => ({
      // Whatever somebody says is what the first one said.
      run: (tables, values, context) =>
        real.run(tables, values, context).map((row) => Object.assign({}, row, { ref: 'gw-1' })),
    })),
    ...LATE,
  }),
  mutant('correct_keeps_no_reference', 'an order that is paid after all can be paid again', {
    ...forgetting('correct', 'payment_references_take'),
    ...LATE,
  }),
  mutant('correct_unrecorded', 'nobody knows who booked what had failed', {
    ...forgetting('correct', 'operator_acts_insert'),
    ...LATE,
  }),
  mutant('corrected_is_success', 'a correction leaves a final state', {
    ...CORRECTED_IS_SUCCESS,
    ...LATE,
  }),
]
