import type { Bucket } from './histogram.ts'

/** What a load generator is to do; plain data, because it crosses to another process. */
export interface Plan {
  readonly host: string
  readonly port: number
  /** Sent with every request, such as an API key. */
  readonly authorization?: string
  readonly connections: number
  /**
   * Closed: each connection sends its next request when it has the answer to the last. A number:
   * so many requests a second whatever the answers do, with latencies that count from the moment a
   * request was due, so that a service which stalls is charged for all it kept waiting.
   */
  readonly ratePerSecond: number | 'closed'
  readonly warmupMs: number
  readonly durationMs: number
  readonly traffic: Traffic
  readonly seed: number
}

/** A run of ids. */
interface Ids {
  readonly first: number
  readonly count: number
}

/** What the requests are. Deposits and withdrawals are half each, of random users. */
export type Traffic =
  | { readonly kind: 'accept'; readonly users: Ids; readonly keys: boolean }
  | { readonly kind: 'bulk'; readonly users: Ids; readonly items: number }
  | { readonly kind: 'read'; readonly payments: Ids }

/** Latencies in milliseconds. */
export interface Latency {
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** What a load generator saw in the measured part of a run. */
export interface LoadResult {
  /** Answered requests that did what they should; for `bulk`, payments. */
  readonly done: number
  readonly perSecond: number
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>
  /** Connections that broke or answered nonsense. */
  readonly faults: number
  readonly latency: Latency
  readonly buckets: readonly Bucket[]
  /** What was done in each second. */
  readonly seconds: readonly number[]
  /** How late requests were sent, at the 99th percentile: above some ms the generator was short. */
  readonly lateMs: number
  /** The generator's own use of a core: near 1 it measured itself. */
  readonly cpu: number
}
