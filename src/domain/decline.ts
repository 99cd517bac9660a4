/**
 * Why a gateway says no, in words that are the same whatever gateway it is. Each driver maps the
 * codes of its gateway to these; the code itself is kept as evidence.
 */
export const DECLINE_WORDS = {
  declined: 'Declined without a reason that anybody may know.',
  insufficient_funds: 'The account does not hold enough.',
  limit_exceeded: 'More, or more often, than the card or account allows.',
  card_expired: 'The card has expired.',
  card_invalid: 'The number, its date or its security code is wrong.',
  method_invalid: 'The method of payment is gone, closed or cannot be used any more.',
  method_unsupported: 'The method cannot do this: the operation, the currency, the kind of card.',
  authentication_required: 'The payer has to confirm it, and was not there to be asked.',
  authentication_failed: 'The payer was asked to confirm it, and did not or could not.',
  suspected_fraud: 'The gateway or the bank takes it for fraud.',
  lost_or_stolen: 'The card was reported as lost or stolen.',
  blocked: 'A rule, a sanction or the law forbids it.',
  call_issuer: 'The bank wants to hear from the payer first.',
  processing_error: 'The bank or the network could not carry it out. A new payment may succeed.',
  canceled: 'It was ended before money moved, by the payer or by us.',
  expired: 'Nobody finished it in time.',
  not_refundable: 'Nothing is left to give back, or a dispute has it.',
} as const satisfies Readonly<Record<string, string>>

/** One of the words. */
export type DeclineWord = keyof typeof DECLINE_WORDS

/** The codes of a gateway, by the words they mean. */
type DeclineCodes = Readonly<Partial<Record<DeclineWord, string>>>

/** The word of each code; `codes` has them separated by spaces. */
export function declineWords(codes: DeclineCodes): ReadonlyMap<string, DeclineWord> {
  // The keys are words.
  const words = Object.entries(codes) as readonly (readonly [DeclineWord, string])[]
  return new Map(words.flatMap(([word, list]) => list.split(' ').map((code) => [code, word])))
}
