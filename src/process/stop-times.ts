import type { Config } from '../config/config.ts'

/** How long a stop waits, and for what. All of it ends within `SHUTDOWN_TIMEOUT_SECONDS`. */

/** How long what gateways and endpoints said may take to be written; the rest is for closing. */
export function lastWordsMs({ shutdownTimeoutMs }: Config): number {
  return shutdownTimeoutMs * 0.75
}

/** How long answers may still take to leave before their connections are cut, in milliseconds. */
export const ANSWERS_MS_MAX = 2_000

/** How long the last spans may take to reach their collector, in milliseconds. */
export const SPANS_MS_MAX = 1_000

/** How much longer than a stop may take the end of a process is waited for, in milliseconds. */
const END_MS = 2_000

/**
 * How long a process may take to stop before it ends anyway: leases run out, and nothing that was
 * answered is lost. One that holds others together (`grouped`) waits for them first.
 */
export function stopMsMaxOf({ shutdownTimeoutMs }: Config, grouped: boolean): number {
  return grouped ? shutdownTimeoutMs + 2 * END_MS : shutdownTimeoutMs
}

/** How long whoever holds others together waits for one of them before it kills it. */
export function memberStopMsMax({ shutdownTimeoutMs }: Config): number {
  return shutdownTimeoutMs + END_MS
}
