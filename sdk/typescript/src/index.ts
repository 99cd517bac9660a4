import { clientOf } from './client.ts'
import { deadLettersOf, type DeadLetters } from './dead-letters.ts'
import { paymentsOf, type Payments } from './payments.ts'
import { refuseBrowsers } from './runtime.ts'
import type { Options } from './send.ts'
import { usersOf, type Users } from './users.ts'
import { webhookEndpointsOf, type WebhookEndpointCalls } from './webhook-endpoints.ts'

/** The service. */
export interface Service {
  readonly payments: Payments
  readonly users: Users
  readonly deadLetters: DeadLetters
  readonly webhookEndpoints: WebhookEndpointCalls
}

/** Talk to a service. Nothing is sent before the first call. Throws in a browser. */
export function connect(options: Options): Service {
  refuseBrowsers()
  const client = clientOf(options)
  return {
    payments: paymentsOf(client),
    users: usersOf(client),
    deadLetters: deadLettersOf(client),
    webhookEndpoints: webhookEndpointsOf(client),
  }
}

export * as amounts from './amounts.ts'
export type { Answer, CallOptions, Done, OnceOptions, Refused } from './client.ts'
export { NoAnswer, OutcomeUnknown, Refusal, WebhookInvalid } from './errors.ts'
export type { WebhookFault } from './errors.ts'
export type { KeyStore } from './keys.ts'
export { isFinal, type WaitOptions } from './payments.ts'
export type { Options } from './send.ts'
export * as webhooks from './webhooks.ts'
export type * from './answers.ts'
export type * from './endpoints.ts'
export type * from './events.ts'
export type * from './problems.ts'
export type * from './requests.ts'
