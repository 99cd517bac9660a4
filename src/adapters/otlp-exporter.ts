import { request } from 'undici'
import { tracesJson, type Resource } from './otlp-json.ts'
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
  /** How long a stop waits for the collector, in milliseconds. */
  readonly closeMsMax: number
  /** How long a collector may be silent, in milliseconds. */
  readonly timeoutMs?: number
}

/** Spans that wait, some hundred bytes each. Further ones are dropped. */
export const SPANS_MAX = 8_192
/** Spans of one request. */
const BATCH_MAX = 512
const INTERVAL_MS = 1_000
const TIMEOUT_MS = 5_000
/** After these the same spans are sent again: the collector asks for it. */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504])

/**
 * An exporter of OTLP over HTTP, in JSON: `POST {endpoint}/v1/traces`, once a second, one request
 * at a time. What a collector does not take for now is sent again with the next turn, within the
 * bound; what it refuses is dropped. It does not keep the process alive.
 */
export function otlpExporter(options: ExporterOptions): OtlpExporter {
  const { resource, onSpans, onChange, timeoutMs = TIMEOUT_MS } = options
  const url = `${options.endpoint.replace(/\/+$/, '')}/v1/traces`
  const headers = { 'content-type': 'application/json', ...options.headers }
  let waiting: EndedSpan[] = []
  let sending: Promise<void> | null = null
  let closed = false
  const ending = new AbortController()
  let away: string | null = null

  const tell = (why: string | null): void => {
    if ((away === null) !== (why === null)) onChange(why)
    away = why
  }
  /** Send one batch; true: it is done with, and there may be more. */
  const sendOne = async (): Promise<boolean> => {
    const batch = waiting.slice(0, BATCH_MAX)
    const why = await post(url, headers, tracesJson(resource, batch), {
      timeoutMs,
      ending: ending.signal,
    })
    tell(why === null ? null : why.reason)
    if (why?.again === true) return false
    waiting = waiting.slice(batch.length)
    onSpans(why === null ? 'exported' : 'dropped', batch.length)
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

/** Post one request. Null: the collector took it; otherwise why not, and whether to try again. */
async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  { timeoutMs, ending }: { readonly timeoutMs: number; readonly ending: AbortSignal },
): Promise<{ readonly reason: string; readonly again: boolean } | null> {
  try {
    const limits = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs, signal: ending }
    const reply = await request(url, { method: 'POST', headers, body, ...limits })
    await reply.body.dump()
    const { statusCode: status } = reply
    if (status >= 200 && status < 300) return null
    return { reason: `http_${status}`, again: AGAIN.has(status) }
  } catch (error) {
    const { code, name } = error as { readonly code?: string; readonly name: string }
    return { reason: code ?? name, again: true }
  }
}
