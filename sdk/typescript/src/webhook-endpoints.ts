import type { ActOptions, Answer, CallOptions, Client, Done } from './client.ts'
import type {
  WebhookAttempts,
  WebhookDeliveries,
  WebhookEndpoint,
  WebhookEndpointChanged,
  WebhookEndpoints,
  WebhookEndpointWithSecret,
  WebhookTest,
} from './endpoints.ts'
import { at } from './paths.ts'
import { replaysOf, type ReplayCalls } from './replays.ts'
import type {
  ListWebhookDeliveries,
  RetryWebhookDeliveryRequest,
  RotateSecretRequest,
  WebhookEndpointChange,
  WebhookEndpointRequest,
} from './requests.ts'

type Named = CallOptions & { readonly actor?: string }

/** What can be done with those who are told of events. */
export interface WebhookEndpointCalls {
  /** Its `secret` is shown now, and to who repeats the call under its key. */
  create(
    body: WebhookEndpointRequest,
    options?: ActOptions,
  ): Promise<Done<'endpoint', WebhookEndpointWithSecret>>
  get(id: number, options?: CallOptions): Promise<Answer<'endpoint', WebhookEndpoint>>
  list(options?: CallOptions): Promise<Answer<'endpoints', WebhookEndpoints>>
  /** Where it is enabled again, `missed` is what it has not got. */
  update(
    id: number,
    body: WebhookEndpointChange,
    options?: Named,
  ): Promise<Answer<'endpoint', WebhookEndpointChanged>>
  /** Sent until there is an answer; one that was removed before is removed. */
  remove(id: number, options?: Named): Promise<Answer<'removed', null>>
  /** Sent once. Where no answer comes it throws; another takes nothing from the secrets before. */
  rotateSecret(
    id: number,
    body?: RotateSecretRequest,
    options?: Named,
  ): Promise<Answer<'endpoint', WebhookEndpointWithSecret>>
  test(id: number, options?: CallOptions): Promise<Answer<'test', WebhookTest>>
  deliveries(
    id: number,
    filter?: ListWebhookDeliveries,
    options?: CallOptions,
  ): Promise<Answer<'deliveries', WebhookDeliveries>>
  attempts(
    id: number,
    event: string,
    options?: CallOptions,
  ): Promise<Answer<'attempts', WebhookAttempts>>
  /** Sends an event again, once; `reason` is kept in the record. */
  retry(
    id: number,
    event: string,
    options?: ActOptions & RetryWebhookDeliveryRequest,
  ): Promise<Done<'retried', null>>
  readonly replays: ReplayCalls
}

export function webhookEndpointsOf(client: Client): WebhookEndpointCalls {
  const all = '/webhook-endpoints'
  const of = (id: number) => at`/webhook-endpoints/${id}`
  const delivery = (id: number, event: string) => at`/webhook-endpoints/${id}/deliveries/${event}`
  return {
    create: (body, options) => client.once('endpoint', all, body, options),
    get: async (id, options) => client.read('endpoint', of(id), options),
    list: (options) => client.read('endpoints', all, options),
    update: async (id, body, options) => client.change('endpoint', of(id), body, options),
    remove: async (id, options) => client.remove('removed', of(id), options),
    rotateSecret: async (id, body = {}, options) =>
      client.send('endpoint', { method: 'POST', path: `${of(id)}/rotate-secret`, body }, options),
    test: async (id, options) =>
      client.send('test', { method: 'POST', path: `${of(id)}/test`, waitMs: 20_000 }, options),
    deliveries: async (id, query = {}, options) =>
      client.read('deliveries', `${of(id)}/deliveries`, { ...options, query }),
    attempts: async (id, event, options) =>
      client.read('attempts', `${delivery(id, event)}/attempts`, options),
    retry: async (id, event, { reason, ...options } = {}) =>
      client.once('retried', `${delivery(id, event)}/retry`, { reason }, options),
    replays: replaysOf(client),
  }
}
