import { setMaxListeners } from 'node:events'
import type { Called } from '../../src/domain/delivery.ts'
import type { Send } from '../../src/webhooks/deliver.ts'
import type { Faults } from './faults.ts'
import { CALL_MS_MAX } from './limits.ts'
import { must } from './promises.ts'
import type { Process, Scheduler } from './scheduler.ts'

/** What an endpoint got and said, as it knows it itself. */
export interface Receiver {
  readonly url: string
  /** The bytes of each message, the same at every attempt. */
  readonly bodies: Map<string, string>
  /** How often it has taken each message. */
  readonly taken: Map<string, number>
  /** Messages that it answered 410. */
  readonly gone: Set<string>
}

export interface Receivers {
  readonly all: Map<string, Receiver>
  /** How they answer: in every way, mostly badly, or well. */
  mood: 'any' | 'bad' | 'well'
  open(): Receiver
  /** What calls them, in a process. */
  connect(process: Process, onArrival: (receiver: Receiver, id: string) => void): Send
}

const OK: Called = { status: 200, reason: null, retryAfterMs: null }
const answer = (status: number, retryAfterMs: number | null = null): Called => ({
  status,
  reason: null,
  retryAfterMs,
})
const silence = (reason: string): Called => ({ status: null, reason, retryAfterMs: null })

/** What comes of a call: whether it arrives, whether it is taken, and what is heard of that. */
interface Fate {
  readonly arrives: boolean
  readonly said: Called
  readonly heard: Called
}

const FATES = {
  ok: { arrives: true, said: OK, heard: OK },
  error: { arrives: true, said: answer(500), heard: answer(500) },
  moved: { arrives: true, said: answer(302), heard: answer(302) },
  refused: { arrives: true, said: answer(404), heard: answer(404) },
  gone: { arrives: true, said: answer(410), heard: answer(410) },
  busy: { arrives: true, said: answer(429), heard: answer(429) },
  busy_long: { arrives: true, said: answer(429, 20_000), heard: answer(429, 20_000) },
  away: { arrives: false, said: OK, heard: answer(503) },
  lost: { arrives: false, said: OK, heard: silence('reset') },
  reply_cut: { arrives: true, said: OK, heard: silence('reset') },
  silent: { arrives: true, said: silence('timeout'), heard: silence('timeout') },
} as const satisfies Record<string, Fate>

export type FateName = keyof typeof FATES

const MOODS: Readonly<Record<Receivers['mood'], readonly FateName[]>> = {
  any: [
    ...(['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'reply_cut', 'lost', 'silent', 'error'] as const),
    ...(['ok', 'ok', 'ok', 'ok', 'moved', 'refused', 'busy', 'busy_long', 'away', 'gone'] as const),
  ],
  bad: ['ok', 'error', 'error', 'error', 'moved', 'refused', 'lost', 'silent', 'busy', 'error'],
  well: ['ok'],
}

/** Endpoints of a history, and the way to them. */
export function openReceivers(
  steps: Pick<Scheduler, 'nowMs' | 'step' | 'wakeable'>,
  faults: Faults,
  count: (what: string) => void,
): Receivers {
  const all = new Map<string, Receiver>()
  const own: Receivers = {
    all,
    mood: 'any',
    open() {
      const url = `https://receiver-${all.size + 1}.example/hook`
      const receiver = { url, bodies: new Map(), taken: new Map(), gone: new Set<string>() }
      all.set(url, receiver)
      return receiver
    },
    connect: (process, onArrival) => async (call, signal) => {
      const name = faults.pick(MOODS[own.mood])
      const fate: Fate = FATES[name]
      count(`told_${name}`)
      // It has left: whoever sent it may die meanwhile.
      await steps.step(process, 'webhook', { inFlight: true, survives: true })
      if (fate.arrives) arrive(all.get(call.url), call, fate, onArrival)
      const lateMs = name === 'silent' ? CALL_MS_MAX : faults.between(5, 200)
      const reply = steps.wakeable(process, 'webhook reply', { atMs: steps.nowMs() + lateMs })
      const stop = () => reply.wake(steps.nowMs())
      if (signal !== undefined) setMaxListeners(0, signal)
      signal?.addEventListener('abort', stop, { once: true })
      if (signal?.aborted) stop()
      await reply.done
      const heard = signal?.aborted ? silence('aborted') : fate.heard
      return { ...heard, tookMs: lateMs, reply: null }
    },
  }
  return own
}

function arrive(
  receiver: Receiver | undefined,
  { headers, body }: Parameters<Send>[0],
  { said }: Fate,
  onArrival: (receiver: Receiver, id: string) => void,
): void {
  const id = headers['webhook-id'] ?? ''
  if (receiver === undefined) return must(false, 'nobody else is called', id)
  const before = receiver.bodies.get(id)
  must(before === undefined || before === body, 'the bytes are the same at every attempt', id)
  receiver.bodies.set(id, body)
  onArrival(receiver, id)
  const { status } = said
  if (status === 410) receiver.gone.add(id)
  if (status !== null && status < 300) receiver.taken.set(id, (receiver.taken.get(id) ?? 0) + 1)
}
