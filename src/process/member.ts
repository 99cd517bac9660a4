import cluster from 'node:cluster'
import type { Metrics, MetricsSample } from '../adapters/metrics.ts'

/** What a member of a group of processes says to the one that holds the group together. */
export type FromMember =
  /** It listens, and does its work. */
  | { readonly kind: 'ready'; readonly url: string }
  /** Somebody asked it for metrics, and wants those of all. */
  | { readonly kind: 'wanted'; readonly number: number }
  | { readonly kind: 'sample'; readonly number: number; readonly sample: MetricsSample }

/** What a member is told. */
export type ToMember =
  /** End in order. `replaced`: another listens in its place already. */
  | { readonly kind: 'stop'; readonly replaced: boolean }
  /** Say what your metrics are. */
  | { readonly kind: 'measure'; readonly number: number }
  /** The metrics of all, as asked for. */
  | { readonly kind: 'metrics'; readonly number: number; readonly text: string }

/** A process that shares its port with others of its kind. */
export interface Member {
  ready(url: string): void
  /** Told once that it is to end in order. */
  onStop(stop: () => void): void
  /** Whether it ends because another listens in its place. */
  isReplaced(): boolean
  /** The metrics of all of them; its own are shown by whoever is asked for them. */
  metricsOfAll(here: Pick<Metrics, 'sample' | 'contentType'>): Pick<Metrics, 'text' | 'contentType'>
}

/** This process as a member of a group; null: it is alone. */
export function memberOf(): Member | null {
  if (!cluster.isWorker) return null
  // For the one that holds the group together: it has each member started anew, in turn.
  process.on('SIGHUP', () => undefined)
  const waiting = new Map<number, (text: string) => void>()
  let stop = () => undefined as void
  let measure = async (): Promise<MetricsSample> => []
  let asked = 0
  let replaced = false
  process.on('message', (told: ToMember) => {
    if (told.kind === 'stop') {
      replaced = told.replaced
      return stop()
    }
    if (told.kind === 'measure') {
      void measure().then((sample) => tell({ kind: 'sample', number: told.number, sample }))
      return
    }
    waiting.get(told.number)?.(told.text)
    waiting.delete(told.number)
  })
  return {
    ready: (url) => tell({ kind: 'ready', url }),
    onStop: (stops) => void (stop = stops),
    isReplaced: () => replaced,
    metricsOfAll({ sample, contentType }) {
      measure = sample
      const text = () =>
        new Promise<string>((resolve) => {
          asked += 1
          waiting.set(asked, resolve)
          tell({ kind: 'wanted', number: asked })
        })
      return { text, contentType }
    },
  }
}

/** Nobody hears it any more where the group is ending. */
function tell(said: FromMember): void {
  if (process.connected) process.send?.(said, undefined, undefined, () => undefined)
}
