import type { HttpAnswer } from './answer.ts'
import type { Span } from '../ports.ts'

/**
 * Begins the span of a request for payments; `parent` is its `traceparent`, whatever that is. Null:
 * its trace is not kept.
 */
export type TraceRequest = (route: string, parent: unknown) => Span | null

/** End the span of a request with its answer. */
export async function answeredWithin(span: Span, making: Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    const answer = await making
    span.end(endOf(answer.status))
    return answer
  } catch (error) {
    span.end({ failed: (error as Error).name })
    throw error
  }
}

function endOf(status: number) {
  const attributes = { 'http.response.status_code': status }
  return status >= 500 ? { attributes, failed: `http_${status}` } : { attributes }
}
