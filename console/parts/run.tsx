import type { ComponentChildren } from 'preact'
import { send } from '../app/api.ts'
import { may } from '../app/session.ts'
import { readWhole, RATE_MAX } from '../exact/whole.ts'
import { words } from '../words/words.ts'
import { refusedHere } from '../exact/answer.ts'
import { reasonField } from './asking.ts'
import { State } from './basics.tsx'
import { ask, perform } from './dialog.tsx'

/** What a dry run found, to be started at a rate. */
interface Found {
  readonly title: string
  readonly says: ComponentChildren
  readonly snapshot: number
  readonly rateHint: string
  /** Where dry runs are made and started. */
  readonly path: string
  /** Told the id of what was started. */
  started(id: string): void
}

/** Ask how fast, and why, what a dry run found is to be done. */
export function askStart({ title, says, snapshot, rateHint, path, started }: Found): void {
  const w = words.value
  ask({
    title,
    says,
    fields: [
      { name: 'rate', label: w.rate, initial: '10', hint: `${w.fromTo(1, RATE_MAX)} ${rateHint}` },
      reasonField(),
    ],
    verb: w.start,
    async run({ rate = '', reason = '' }, key) {
      const read = readWhole(rate, 1, RATE_MAX)
      if (read === null) return refusedHere(`${w.rate}: ${w.fromTo(1, RATE_MAX)}`)
      const body = { snapshot, reason, rate_per_second: read }
      return send<{ id: number }>('POST', path, body, key)
    },
    done: (run) => started(String((run as { id: number }).id)),
  })
}

/** Leaves what is shown of a run, where there is no such run as well. */
export function CloseRun({ onClose }: { onClose: () => void }) {
  return (
    <button type="button" onClick={onClose}>
      {words.value.close}
    </button>
  )
}

/** How far something that is done to many has come. */
export function Progress(props: {
  label: string
  run: { readonly state: string; readonly done: number; readonly total: number }
  /** Of this run. */
  path: string
  onClose: () => void
  children: ComponentChildren
}) {
  const w = words.value
  const { label, run, path, onClose, children } = props
  const stop = () => perform(w.stop, send('POST', `${path}/cancel`))
  const stops = run.state === 'running' && may('operate')
  return (
    <section class="run" aria-label={label}>
      <header class="section-head">
        <h2>{label}</h2>
        <State state={run.state} />
      </header>
      <progress max={run.total} value={run.done} aria-label={label} />
      <p class="row">
        {children}
        {stops ? (
          <button type="button" onClick={() => void stop()}>
            {w.stop}
          </button>
        ) : (
          <CloseRun onClose={onClose} />
        )}
      </p>
    </section>
  )
}
