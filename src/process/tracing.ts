import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { otlpExporter } from '../adapters/otlp-exporter.ts'
import { openTracer } from '../adapters/tracer.ts'
import type { Config } from '../config/config.ts'
import type { TraceRequest } from '../http/traced.ts'
import type { BatchSpan, Tracer } from '../ports.ts'
import type { Closing } from './closing.ts'
import { SPANS_MS_MAX } from './stop-times.ts'
import { VERSION } from './version.ts'

/** What tracing needs of its process. */
interface Traces {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly stops: Closing
}

/** Send traces to the collector of the settings; null: there is none, and nothing is traced. */
export function startTracing({ config, log, metrics, stops }: Traces, role: string): Tracer | null {
  const { otlpEndpoint: endpoint, otelServiceName: service } = config
  if (endpoint === null) return null
  const instance = `${hostname()}-${process.pid}`
  const exporter = otlpExporter({
    endpoint,
    headers: config.otlpHeaders ?? {},
    resource: { service, version: VERSION, role, instance },
    onSpans: metrics.spans,
    onPartial: (partial) =>
      log.warn(partial, 'the collector takes only a part of the spans, or warns: said once'),
    closeMsMax: SPANS_MS_MAX,
    onChange: (away) =>
      away === null
        ? log.info('the collector takes traces again')
        : log.warn({ reason: away }, 'the collector does not take traces: some will be missing'),
  })
  stops.push(() => exporter.close())
  const sampling = { sampler: config.tracesSampler, ratio: config.tracesSamplerArg }
  return openTracer(systemClock, sampling, exporter.add)
}

/** What begins the spans of requests for payments; nothing where nothing is traced. */
export function requestSpans(tracer: Tracer | null): { readonly trace?: TraceRequest } {
  if (tracer === null) return {}
  return {
    trace: (method, route, parent) =>
      tracer.begin({
        name: `${method} ${route}`,
        kind: 'server',
        parent: typeof parent === 'string' ? parent : null,
        attributes: { 'http.request.method': method, 'http.route': route },
      }),
  }
}

/** What begins the span of a batch and returns what ends it; nothing where nothing is traced. */
export function batchSpans(tracer: Tracer | null): { readonly batchSpan?: BatchSpan } {
  if (tracer === null) return {}
  return {
    batchSpan(name, places) {
      const beganMs = systemClock.elapsedMs()
      return () => tracer.batch(name, places, systemClock.elapsedMs() - beganMs)
    },
  }
}

/** The places in traces of those that have one. */
export function tracePlaces(all: readonly { readonly traceparent?: string }[]): string[] {
  return all.flatMap(({ traceparent }) => traceparent ?? [])
}
