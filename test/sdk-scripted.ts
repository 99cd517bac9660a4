import assert from 'node:assert/strict'
import { connect, type Options } from '../sdk/typescript/src/index.ts'

/** What a deposit is answered with. */
export const ACCEPTED = { payment_id: 1, user_id: 1, status: 'processing', deposit: 200 }
export const BODY = { user_id: 1, deposit: '200.00' } as const

interface Sent {
  readonly key: string | null
  readonly body: unknown
}

/** What the service does with a request. */
export type Reaction = () => Response | Promise<Response>

export const answer =
  (status: number, body: object, headers: Record<string, string> = {}): Reaction =>
  () =>
    new Response(JSON.stringify(body), { status, headers })

export const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  answer(status, { status, code, title: code, detail: code, type: code, instance: '1' }, headers)

export const accepted = answer(202, ACCEPTED)

export const lost: Reaction = () => Promise.reject(new TypeError('fetch failed'))

export const refusedConnection: Reaction = () =>
  Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }))

/** A service that reacts in this order, with what it got and how long the SDK paused. */
export function scripted(reactions: readonly Reaction[], more: Partial<Options> = {}) {
  const sent: Sent[] = []
  const pauses: number[] = []
  const service = connect({
    url: 'http://localhost:1/',
    random: () => 0.5,
    sleep: async (ms) => void pauses.push(ms),
    fetch: async (_url, init) => {
      const reaction = reactions[sent.length] ?? (() => assert.fail('one try too many'))
      sent.push({ key: new Headers(init?.headers).get('idempotency-key'), body: init?.body })
      return reaction()
    },
    ...more,
  })
  return { ...service, sent, pauses }
}

/** Keys of intents, for as long as the test runs. */
export function keptKeys() {
  const kept = new Map<string, string>()
  return {
    keyOf(intent: string, fresh: string): string {
      const key = kept.get(intent) ?? fresh
      kept.set(intent, key)
      return key
    },
  }
}
