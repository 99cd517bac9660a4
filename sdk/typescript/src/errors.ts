import type { Problem } from './problems.ts'

/**
 * Nobody can tell whether the service did what was asked: an answer was lost, and asking again did
 * not help, or an earlier request under the key may still be on its way. Send the same request
 * again under the same key, or under the same intent: what was done is not done twice. Once nothing
 * can be on its way any more, say so with `noneUnderWay`: then a refusal is the answer.
 */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown'
  /** The Idempotency-Key of the request. Keep it until the outcome is known. */
  readonly key: string
  /** What the service said last, if it said anything. It may be no word about what was done. */
  readonly problem: Problem | null

  constructor(key: string, problem: Problem | null, cause: unknown) {
    const said = problem === null ? '' : `, the service said ${problem.code} last`
    super(`It is not known whether this was done${said}. Ask again under the key ${key}.`, {
      cause,
    })
    this.key = key
    this.problem = problem
  }
}

/** The service could not be asked. Nothing was changed, or only what can be sent again as it is. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'

  constructor(cause: unknown) {
    super('The service gave no answer. Is its address right, and does it run?', { cause })
  }
}

/** The service refused to go on with a list; calls that are no lists return the problem. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`)
    this.problem = problem
  }
}

/** Why a webhook is not believed. */
export type WebhookFault =
  'header_missing' | 'too_old' | 'too_new' | 'signature_wrong' | 'unreadable'

/** This did not come from the service, or not now. Answer it with 400. */
export class WebhookInvalid extends Error {
  override readonly name = 'WebhookInvalid'
  readonly fault: WebhookFault

  constructor(fault: WebhookFault) {
    super(`This webhook is not to be believed: ${fault}.`)
    this.fault = fault
  }
}
