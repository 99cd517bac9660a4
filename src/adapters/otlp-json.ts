import { parseJson, writeJson } from '../domain/exact-json.ts'
import type { SpanAttributes, SpanStart } from '../ports.ts'
import type { EndedSpan } from './tracer.ts'

/** `SpanKind` of the protocol. */
const KINDS: Readonly<Record<SpanStart['kind'], number>> = { internal: 1, server: 2, client: 3 }
/** `STATUS_CODE_ERROR` of the protocol. */
const FAILED = 2
/** `SPAN_FLAGS`: the span is sampled. */
const SAMPLED = 1

/** Who sends spans. */
export interface Resource {
  readonly service: string
  readonly version: string
  readonly role: string
  readonly instance: string
}

/**
 * Spans as a request to `/v1/traces` in the JSON of OTLP: ids are hexadecimal, and whole numbers of
 * 64 bits are texts.
 */
export function tracesJson(resource: Resource, spans: readonly EndedSpan[]): string {
  const { service, version, role, instance } = resource
  const about = {
    'service.name': service,
    'service.version': version,
    'service.instance.id': instance,
    'payments.role': role,
  }
  const scope = { name: 'payments', version }
  const scopeSpans = [{ scope, spans: spans.map(spanJson) }]
  const all = [{ resource: { attributes: attributesJson(about) }, scopeSpans }]
  return writeJson({ resourceSpans: all })
}

function spanJson({ context, parentId, failed, links, ...span }: EndedSpan) {
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    ...(parentId === null ? {} : { parentSpanId: parentId }),
    flags: SAMPLED,
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanoseconds(span.beganMs),
    endTimeUnixNano: nanoseconds(span.endedMs),
    attributes: attributesJson(span.attributes),
    links: links.map(({ traceId, spanId }) => ({ traceId, spanId, flags: SAMPLED })),
    status: failed === null ? {} : { code: FAILED, message: failed },
  }
}

/** To the microsecond, which is as exact as the clocks are. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1_000)}000`
}

function attributesJson(attributes: SpanAttributes) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) },
  }))
}

/** What a collector says of a request that it took: how many spans it rejected, and why. */
export interface PartialSuccess {
  readonly rejected: number
  readonly message: string
}

/** Of what a collector says, so much is told. */
const MESSAGE_LENGTH_MAX = 500

/**
 * The `partialSuccess` of an answer of OTLP; null: all was taken, and nothing is said. A whole
 * number of 64 bits may be a text.
 */
export function readPartial(answer: string): PartialSuccess | null {
  const { partialSuccess } = (parsed(answer) ?? {}) as { partialSuccess?: unknown }
  if (typeof partialSuccess !== 'object' || partialSuccess === null) return null
  const { rejectedSpans, errorMessage } = partialSuccess as Readonly<Record<string, unknown>>
  const count = Number(rejectedSpans ?? 0)
  const rejected = Number.isSafeInteger(count) && count > 0 ? count : 0
  const message = typeof errorMessage === 'string' ? errorMessage.slice(0, MESSAGE_LENGTH_MAX) : ''
  return rejected === 0 && message === '' ? null : { rejected, message }
}

/** Null: it is no JSON, which some collectors answer with. */
function parsed(answer: string): unknown {
  try {
    return parseJson(answer)
  } catch {
    return null
  }
}
