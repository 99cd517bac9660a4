/** Where something stands in a trace, as W3C Trace Context says it. */
export interface TraceContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string
  /** 16 hexadecimal digits, not all 0. */
  readonly spanId: string
  readonly sampled: boolean
}

/** Which traces are kept, by the names of OpenTelemetry. */
export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

/** Which traces are kept; `ratio` is the share of those that begin here, from 0 to 1. */
export interface Sampling {
  readonly sampler: (typeof SAMPLERS)[number]
  readonly ratio: number
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/**
 * Read a `traceparent`; null for what is none, which begins a new trace. Of a later version than
 * ours the parts that we know are read.
 */
export function readTraceparent(text: unknown): TraceContext | null {
  if (typeof text !== 'string' || text.length > 512) return null
  const [, version, traceId = '', spanId = '', flags = '', more] = FORM.exec(text) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) {
    return null
  }
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The `traceparent` of a context: 55 characters. */
export function writeTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

/** Whether a trace is kept. `parent` is null where it begins here. */
export function isSampled(
  { sampler, ratio }: Sampling,
  parent: TraceContext | null,
  traceId: string,
): boolean {
  if (parent !== null && sampler.startsWith('parentbased_')) return parent.sampled
  if (sampler.endsWith('always_on')) return true
  return sampler.endsWith('always_off') ? false : isWithin(traceId, ratio)
}

/**
 * Whether a trace is among the share that is kept: by the last 56 bits of its id, which are random,
 * so that everybody who keeps as large a share keeps the same ones.
 */
function isWithin(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-14), 16) < ratio * 2 ** 56
}
