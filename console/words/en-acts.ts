import { english } from '../exact/plural.ts'

const PENDING_SAYS =
  'The gateway has it and has not finished it. It is asked to end it, and only its word does.'

/** What the console says of acts and of one payment. */
export const EN_ACTS = {
  /** What is wrong with a field, by the code that the API has for it. */
  fieldFaults: {
    missing: 'is missing',
    unknown: 'is no such field',
    wrong_type: 'is of the wrong type',
    not_one_of: 'is none of the words that are taken',
    const: 'has another value than the one that is taken here',
    too_small: 'is too small',
    too_large: 'is too large',
    out_of_range: 'is out of bounds',
    not_whole: 'is no whole number',
    too_long: 'is too long',
    minLength: 'is too short',
    format: 'is written otherwise than it has to be',
    taken: 'is taken',
  },
  back: 'Back',
  working: 'Working …',
  actAway: 'The API did not answer. Try again: it is the same request, and is carried out once.',
  dryRunLost: 'The API did not answer. Nothing was changed.',
  actLost: 'The API did not answer. It may have been done: look before you do it again.',
  reason: 'Reason',
  reasonHint: 'Kept in the record, with your name.',
  refresh: 'Ask the gateway',
  cancel: 'Cancel',
  cancelTitle: (id: number) => `Cancel payment ${id}`,
  cancelSays: (sum: string, held: boolean) =>
    `Nothing of it was sent to the gateway. It becomes failed, and ${
      held ? `the hold for ${sum} goes back to the user.` : `no money moves; it was for ${sum}.`
    }`,
  cancelPendingSays: (sum: string, held: boolean) =>
    `${PENDING_SAYS} ${
      held ? `The hold for ${sum} then goes back to the user.` : `It is for ${sum}.`
    }`,
  payerOpens: 'The payer opens',
  payerUntil: 'Until',
  refund: 'Refund',
  refundTitle: (id: number) => `Refund payment ${id}`,
  refundSays: (sum: string) =>
    `The money goes back through the gateway, as a payment of its own. At most ${sum} can go back. The user’s balance pays for it.`,
  refundHint: 'A part of it is possible.',
  amountBad: (currency: string) => `This is no amount of ${currency}.`,
  userBad: 'The id of a user is a whole number.',
  fromTo: (least: number, most: number) => `A whole number from ${least} to ${most}.`,
  redrive: 'Redrive',
  redriveTitle: (id: number) => `Redrive payment ${id}`,
  redriveFailedSays: (sum: string) =>
    `It failed, and that is final. A new payment of ${sum} repeats it: the gateway is asked for the money once more.`,
  redriveUnknownSays: (sum: string) =>
    `Nobody knows whether the ${sum} moved. The payment is opened again under the same gateway key, and the gateway is asked.`,
  resolve: 'Resolve',
  resolveTitle: (id: number) => `Resolve payment ${id}`,
  resolveSays: (sum: string) =>
    `You say how the payment of ${sum} ended, and the books follow your word. Look at the gateway first: it is final.`,
  resolveOutcome: 'What happened at the gateway',
  resolveSuccess: 'It was executed',
  resolveFailed: 'It was not executed',
  resolveRefHint: 'If the gateway shows one.',
  insist: 'I have looked at the evidence, and insist. This is kept in the record.',
  correct: 'Correct',
  correctTitle: (id: number) => `Correct payment ${id}`,
  correctDepositSays: (sum: string) =>
    `It failed here and was executed at the gateway. The ${sum} are booked once, less the commission, to the user; the payment stays failed.`,
  correctWithdrawalSays: (sum: string) =>
    `It failed here and was executed at the gateway. The ${sum} and the commission are taken from the user as far as the balance goes, and the rest is a loss; the payment stays failed.`,
  correctRefHint:
    'What it is called at the gateway. Needed unless a late answer said that it was executed.',
  besidesRedrive:
    'It is none of the payments that repeated this one: I have compared them at the gateway.',
  bookReturn: 'Book a return',
  returnTitle: (id: number) => `Money of payment ${id} came back`,
  returnDepositSays:
    'Money that was taken back without us is booked, once for each reference. The user pays for it as far as the balance goes, and the rest is a loss. Refunds that were not sent are canceled.',
  returnWithdrawalSays:
    'The payout came back without us. It is booked, once for each reference, and the user has the money again.',
  returnKind: 'How it came back',
  returnKinds: {
    charged_back: 'Charge-back',
    refunded_there: 'Refunded at the gateway itself',
    dispute_won: 'A dispute was won',
    payout_returned: 'The payout came back',
  },
  returnAmountHint: (sum: string) => `The payment was ${sum}.`,
  returnRefHint: 'What the gateway calls it.',
  besidesRefund: 'It is none of our refunds of this payment: I have compared them at the gateway.',
  life: 'Life',
  lifeTold: (count: number, span: string) =>
    `A picture of ${count} ${english(count, 'event')} over ${span}; the table below tells the same.`,
  lifeNote: 'Longer times are drawn shorter than they are, so that short calls can be seen.',
  known: 'Known',
  lanes: { gateway: 'Gateway', books: 'Books', people: 'Payment', notices: 'Events' },
  story: 'What happened',
  notSent: 'nothing was sent',
  claim: (fence: number) => `claim ${fence}`,
  late: 'Late.',
  repeats: (id: number) => `repeats ${id}`,
  referenceTaken: (id: string) => `reference taken by ${id}`,
  letter: 'letter',
  entries: 'Entries',
  noEntries: 'The books have nothing of it yet.',
  out: 'Out',
  in: 'In',
  relatives: 'Belongs to it',
  of: 'Of payment',
  showAllOf: 'All of them',
}
