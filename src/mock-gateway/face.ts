import type { Clock } from '../ports.ts'
import type { Faults, Plan } from './faults.ts'
import { EFFECTS, type Effect, type Reply } from './replies.ts'

/** A request as it came to the mock gateway in the words of a vendor's API. */
export interface FaceRequest {
  readonly method: 'GET' | 'POST'
  /** Behind the version of the API. */
  readonly path: string
  readonly query: string
  /** Its body. */
  readonly text: string
  readonly key: string | null
  readonly authorization: string | null
}

/** A part of a vendor's API, with a memory of its own. */
export interface Face {
  /** Carry a request out, once per key, and say how the reply goes out. Never throws. */
  answer(request: FaceRequest): Reply
  /** Ids of what moved money for a payment, by the metadata that came along. */
  moved(name: string, value: string): readonly string[]
  reset(): void
}

/** What a face is made of: its clock, and the faults of the mock gateway. */
export interface Surroundings {
  readonly clock: Clock
  readonly faults: () => Faults
  readonly draw: () => Plan
}

/** What a fault does to the next thing that is made. */
export interface Fate {
  readonly effect: Effect
  readonly faults: Faults
  /** How long the reply takes, in milliseconds. */
  readonly afterMs: number
}

export function nextFate(around: Surroundings): Fate {
  const { fault, latencyMs } = around.draw()
  const effect = EFFECTS[fault ?? 'none']
  const faults = around.faults()
  return { effect, faults, afterMs: latencyMs + (effect.held === true ? faults.timeout_ms : 0) }
}

/** The reply of an answer that does not arrive whole, or not at all; null: it arrives. */
export function spoiled(
  { effect: { shows }, faults, afterMs }: Fate,
  { status, body }: { readonly status: number; readonly body: object },
): Reply | null {
  if (shows === 'reset') return { kind: shows, afterMs }
  if (shows === 'html') return { kind: shows, afterMs, status: 200 }
  if (shows === 'truncated') return { kind: shows, afterMs, status, body }
  if (shows === 'drip') return { kind: shows, afterMs, status, body, overMs: faults.timeout_ms }
  return null
}

/** Keys are forgotten after a day. */
const KEY_LIFE_MS = 86_400_000

/** What was made under which key, and by which request. */
export interface Keys<Made> {
  /** What a key stands for; `other`: for another request; null: for nothing. */
  find(key: string | null, request: string): Made | 'other' | null
  keep(key: string | null, request: string, made: Made): void
  clear(): void
}

export function openKeys<Made extends object>(clock: Clock): Keys<Made> {
  const kept = new Map<string, { request: string; made: Made; untilMs: number }>()
  return {
    find(key, request) {
      const known = key === null ? undefined : kept.get(key)
      if (known === undefined || known.untilMs <= clock.now().getTime()) return null
      return known.request === request ? known.made : 'other'
    },
    keep(key, request, made) {
      if (key === null) return
      kept.set(key, { request, made, untilMs: clock.now().getTime() + KEY_LIFE_MS })
    },
    clear: () => kept.clear(),
  }
}
