import type { UrlTerms } from '../domain/webhook-url.ts'
import { operatorHere } from '../adapters/commands.ts'
import type { TestWorld } from './endpoints.ts'

/** What the commands about endpoints work with. */
export interface EndpointCommandWorld extends TestWorld {
  readonly urls: UrlTerms
  readonly newMessageId: () => string
  /** Calls what `listen` forwards to. */
  readonly forward: TestWorld['send']
}

/** Opens what a command works with, and closes it. */
export type Within = (work: (world: EndpointCommandWorld) => Promise<void>) => Promise<void>

/** Who works at this terminal, for the record. */
export function byHere() {
  const { actor, requestId } = operatorHere('')
  return { actor, requestId }
}

/** What a call came to. */
export function came(call: {
  readonly status: number | null
  readonly reason: string | null
  readonly tookMs: number
}): string {
  return `${call.status ?? call.reason ?? 'no answer'}  ${call.tookMs} ms`
}
