import { SAMPLERS } from '../domain/trace-context.ts'
import { choice, collectorUrl, listedHeaders, share, text, type Setting } from './kinds.ts'

const GROUP = 'Tracing'

/** Where traces go, by the names that OpenTelemetry gives these settings. */
export const TRACING_SETTINGS = {
  otlpEndpoint: {
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    group: GROUP,
    kind: collectorUrl(),
    fallback: null,
    example: 'http://127.0.0.1:4318',
    doc:
      'Collector that gets traces as OTLP over HTTP in JSON, at `/v1/traces` below this. When ' +
      'unset, nothing is traced.',
  },
  otlpHeaders: {
    name: 'OTEL_EXPORTER_OTLP_HEADERS',
    group: GROUP,
    kind: listedHeaders(),
    fallback: null,
    example: 'api-key=abc',
    secret: true,
    doc: 'Headers of every request to it, separated by commas; values are percent-encoded.',
  },
  otelServiceName: {
    name: 'OTEL_SERVICE_NAME',
    group: GROUP,
    kind: text(64),
    fallback: 'payments',
    doc: 'How the service is called in traces.',
  },
  tracesSampler: {
    name: 'OTEL_TRACES_SAMPLER',
    group: GROUP,
    kind: choice(SAMPLERS),
    fallback: 'parentbased_always_on',
    doc:
      'Which traces are kept. With `parentbased_…` callers decide about those that they began, ' +
      'and this about the others.',
  },
  tracesSamplerArg: {
    name: 'OTEL_TRACES_SAMPLER_ARG',
    group: GROUP,
    kind: share(),
    fallback: '1',
    doc: 'For samplers that end in `traceidratio`: the share of traces that is kept.',
  },
} as const satisfies Record<string, Setting>
