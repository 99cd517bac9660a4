import { operatorHere } from '../adapters/commands.ts'
import type { TestWorld } from './endpoints.ts'

/** What the commands about endpoints share. */

/** What the commands about endpoints work with. */
export interface World extends TestWorld {
  readonly development: boolean
  readonly newMessageId: () => string
  /** Calls what `listen` forwards to. */
  readonly forward: TestWorld['send']
}

/** What each of these commands takes. */
export interface Json {
  readonly json?: boolean
}

export const JSON_OPTION = ['--json', 'print JSON'] as const

export type Within = (work: (world: World) => Promise<void>) => Promise<void>

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
