import type { ActOptions, Answer, CallOptions, Client, Done } from './client.ts'
import type { Replay, ReplayPlan, WebhookReplays } from './endpoints.ts'
import { at } from './paths.ts'
import type { ReplayFilter, ReplayStartRequest } from './requests.ts'

type Named = CallOptions & { readonly actor?: string }

/** Sending events to an endpoint again, in two steps: see which, and send exactly those. */
export interface ReplayCalls {
  /** Sends nothing: how many events match, and a snapshot of them. Asked once. */
  plan(id: number, filter?: ReplayFilter, options?: Named): Promise<Answer<'plan', ReplayPlan>>
  /** Sends the events of a snapshot again. */
  start(id: number, body: ReplayStartRequest, options?: ActOptions): Promise<Done<'replay', Replay>>
  /** How far a replay has come; its number is that of its snapshot. */
  get(id: number, replay: number, options?: CallOptions): Promise<Answer<'replay', Replay>>
  /** Replays that were started, the newest first. */
  list(id: number, options?: CallOptions): Promise<Answer<'replays', WebhookReplays>>
  /** Asked once; one that has ended is refused with `replay_not_running`. */
  cancel(id: number, replay: number, options?: Named): Promise<Answer<'replay', Replay>>
}

/** A dry run looks at up to 100,000 events. */
const PLAN_MS = 20_000

export function replaysOf(client: Client): ReplayCalls {
  const all = (id: number) => at`/webhook-endpoints/${id}/replays`
  const one = (id: number, replay: number) => at`/webhook-endpoints/${id}/replays/${replay}`
  return {
    plan: async (id, filter = {}, options) => {
      const body = { filter, dry_run: true }
      const request = { method: 'POST', path: all(id), body, waitMs: PLAN_MS } as const
      return client.send('plan', request, options)
    },
    start: async (id, body, options) => client.once('replay', all(id), body, options),
    get: async (id, replay, options) => client.read('replay', one(id, replay), options),
    list: async (id, options) => client.read('replays', all(id), options),
    cancel: async (id, replay, options) =>
      client.send('replay', { method: 'POST', path: `${one(id, replay)}/cancel` }, options),
  }
}
