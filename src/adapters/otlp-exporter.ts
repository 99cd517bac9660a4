import { request, type Dispatcher } from 'undici'
import { readPartial, tracesJson, type PartialSuccess, type Resource } from './otlp-json.ts'
import type { EndedSpan } from './tracer.ts'

/** Sends spans to a collector. No call waits, and none fails: traces never harm payments. */
interface OtlpExporter {
  /** Send it with the next request, or drop it when too many wait. */
  add(span: EndedSpan): void
  /** Send what waits. Never rejects. */
  flush(): Promise<void>
  /** Send what waits once more, then stop; later spans are dropped. Never rejects. */
  close(): Promise<void>
}

interface ExporterOptions {
  /** The collector, without `/v1/traces`. */
  readonly endpoint: string
  /** Sent with every request: credentials. Never logged. */
  readonly headers: Readonly<Record<string, string>>
  readonly resource: Resource
  /** Told how many spans a collector took, and how many nobody will. */
  readonly onSpans: (result: 'exported' | 'dropped', count: number) => void
  /** Told the first time that a collector does not take spans, and again when one does. */
  readonly onChange: (away: string | null) => void
  /** Told the first time that a collector takes only a part of what it was sent, or warns. */
  readonly onPartial: (partial: PartialSuccess) => void
  /** How long a stop waits for the collector, in milliseconds. */
  readonly closeMsMax: number
  /** How long a collector may take to answer, to the last byte, in milliseconds. */
  readonly timeoutMs?: number
}

/** Spans that wait, some hundred bytes each. Further ones are dropped. */
export const SPANS_MAX = 8_192
/** Spans of one request. */
const BATCH_MAX = 512
const INTERVAL_MS = 1_000
const TIMEOUT_MS = 5_000
/** An answer says little; of a longer one nothing is read. */
const ANSWER_BYTES_MAX = 64 * 1_024
/** After these the same spans are sent again: the collector asks for it. */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504])

/**
 * An exporter of OTLP over HTTP, in JSON: `POST {endpoint}/v1/traces`, once a second, one request
 * at a time. What a collector does not take for now is sent again with the next turn, within the
 * bound; what it refuses, all or a part of a request, is dropped. It does not keep the process
 * alive.
 */
export function otlpExporter(options: ExporterOptions): OtlpExporter {
  const { resource, onSpans, onChange, onPartial, timeoutMs = TIMEOUT_MS } = options
  const url = `${options.endpoint.replace(/\/+$/, '')}/v1/traces`
  const headers = { 'content-type': 'application/json', ...options.headers }
  let waiting: EndedSpan[] = []
  let sending: Promise<void> | null = null
  let closed = false
  const ending = new AbortController()
  let away: string | null = null
  let warned = false

  const tell = (why: string | null): void => {
    if ((away === null) !== (why === null)) onChange(why)
    away = why
  }
  /** How many of the spans of a request a collector that took it rejected. */
  const take = (partial: PartialSuccess | null, sent: number): number => {
    if (partial === null) return 0
    if (!warned) onPartial({ ...partial, rejected: Math.min(partial.rejected, sent) })
    warned = true
    return Math.min(partial.rejected, sent)
  }
  /** Send one batch; true: it is done with, and there may be more. */
  const sendOne = async (): Promise<boolean> => {
    const batch = waiting.slice(0, BATCH_MAX)
    const late = new AbortController()
    const limit = setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), timeoutMs)
    const signal = AbortSignal.any([ending.signal, late.signal])
    const result = await post(url, headers, tracesJson(resource, batch), signal)
    clearTimeout(limit)
    tell(result.reason)
    if (result.reason !== null && result.again) return false
    waiting = waiting.slice(batch.length)
    const rejected = result.reason === null ? take(result.partial, batch.length) : batch.length
    if (rejected < batch.length) onSpans('exported', batch.length - rejected)
    if (rejected > 0) onSpans('dropped', rejected)
    return waiting.length > 0
  }
  const sendAll = async (): Promise<void> => {
    while (waiting.length > 0 && (await sendOne()));
  }
  const flush = (): Promise<void> => {
    sending ??= sendAll().finally(() => (sending = null))
    return sending
  }
  const timer = setInterval(() => void flush(), INTERVAL_MS).unref()

  return {
    add(span) {
      if (closed || waiting.length >= SPANS_MAX) onSpans('dropped', 1)
      else waiting.push(span)
    },
    flush,
    async close() {
      if (closed) return
      clearInterval(timer)
      closed = true
      // Whoever stops waits this long for a collector, and no longer.
      const end = setTimeout(() => ending.abort(), options.closeMsMax)
      await sending
      await flush()
      clearTimeout(end)
      if (waiting.length > 0) onSpans('dropped', waiting.length)
      waiting = []
    },
  }
}

/** What became of a request: the collector took it, or why it did not and whether to try again. */
type Posted =
  | { readonly reason: null; readonly partial: PartialSuccess | null }
  | { readonly reason: string; readonly again: boolean }

async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
): Promise<Posted> {
  try {
    const reply = await request(url, { method: 'POST', headers, body, signal })
    const { statusCode: status } = reply
    const answer = await readAnswer(reply.body)
    if (status < 200 || status >= 300) return { reason: `http_${status}`, again: AGAIN.has(status) }
    return { reason: null, partial: answer === null ? null : readPartial(answer) }
  } catch (error) {
    const { code, name } = error as { readonly code?: string | number; readonly name: string }
    return { reason: typeof code === 'string' ? code : name, again: true }
  }
}

/**
 * The answer of a collector; null where it is too long or does not come to its end: what its status
 * says holds all the same.
 */
async function readAnswer(body: Dispatcher.ResponseData['body']): Promise<string | null> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > ANSWER_BYTES_MAX) return null
      parts.push(part)
    }
    return Buffer.concat(parts).toString('utf8')
  } catch {
    return null
  }
}
