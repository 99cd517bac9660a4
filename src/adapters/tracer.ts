import { randomBytes } from 'node:crypto'
import {
  isSampled,
  readTraceparent,
  writeTraceparent,
  type Sampling,
  type TraceContext,
} from '../domain/trace-context.ts'
import type { Clock, SpanAttributes, SpanStart, Tracer } from '../ports.ts'

/** A span that is over. Times are milliseconds since 1970. */
export interface EndedSpan {
  readonly context: TraceContext
  /** The span that it is a part of; null: it begins its trace. */
  readonly parentId: string | null
  readonly name: string
  readonly kind: SpanStart['kind']
  readonly beganMs: number
  readonly endedMs: number
  readonly failed: string | null
  readonly attributes: SpanAttributes
  readonly links: readonly TraceContext[]
}

/** Links of one span; those beyond are left out, and the span says how many there were. */
const LINKS_MAX = 128

/**
 * Make spans and hand those that are kept to `onEnd`. Whether a trace is kept is decided once,
 * where it begins.
 */
export function openTracer(
  clock: Clock,
  sampling: Sampling,
  onEnd: (span: EndedSpan) => void,
  random: (bytes: number) => Buffer = randomBytes,
): Tracer {
  // Wall-clock time and durations of one clock, so that no span ends before it begins.
  const epochMs = clock.now().getTime() - clock.elapsedMs()
  const nowMs = () => epochMs + clock.elapsedMs()
  const newId = (bytes: number) => random(bytes).toString('hex')

  return {
    begin({ name, kind, parent: text, attributes = {} }) {
      const parent = readTraceparent(text)
      const traceId = parent?.traceId ?? newId(16)
      if (!isSampled(sampling, parent, traceId)) return null
      const context = { traceId, spanId: newId(8), sampled: true }
      const beganMs = nowMs()
      const parentId = parent?.spanId ?? null
      return {
        traceparent: writeTraceparent(context),
        end({ failed = null, attributes: more = {} } = {}) {
          const about = { attributes: { ...attributes, ...more }, failed, links: [] }
          onEnd({ context, parentId, name, kind, beganMs, endedMs: nowMs(), ...about })
        },
      }
    },
    batch(name, traceparents, tookMs) {
      const all = traceparents.flatMap((text) => readTraceparent(text) ?? [])
      const links = all.filter(({ sampled }) => sampled)
      if (links.length === 0) return
      const endedMs = nowMs()
      onEnd({
        context: { traceId: newId(16), spanId: newId(8), sampled: true },
        parentId: null,
        name,
        kind: 'internal',
        beganMs: endedMs - tookMs,
        endedMs,
        failed: null,
        attributes: { 'payments.batch.traced': links.length },
        links: links.slice(0, LINKS_MAX),
      })
    },
  }
}
