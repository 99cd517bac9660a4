import { writeJson } from '../domain/json.ts'
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
