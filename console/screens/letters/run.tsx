import { send } from '../../app/api.ts'
import { refreshAll, useFeed } from '../../app/feed.ts'
import { filter } from '../../app/router.ts'
import type { Redrive } from '../../app/shapes.ts'
import { named, State } from '../../parts/basics.tsx'
import { Loaded } from '../../parts/screen.tsx'
import { count, words } from '../../words/words.ts'

/** How far a redrive of many has come. */
export function Run({ id }: { id: string }) {
  const feed = useFeed<Redrive>(`/dlq/redrives/${id}`)
  return <Loaded feed={feed}>{(run) => <Progress run={run} />}</Loaded>
}

function Progress({ run }: { run: Redrive }) {
  const w = words.value
  const label = w.runOf(run.id)
  async function cancel(): Promise<void> {
    await send('POST', `/dlq/redrives/${run.id}/cancel`)
    await refreshAll()
  }
  return (
    <section class="run" aria-label={label}>
      <header class="section-head">
        <h2>{label}</h2>
        <State state={run.state} />
      </header>
      <progress max={run.total} value={run.done} aria-label={label} />
      <p class="row">
        <span role="status">
          {w.runCounts(count(run.done), count(run.total), count(run.redriven))}
        </span>
        {Object.entries(run.refusals).map(([code, number]) => (
          <span key={code} class="quiet">
            {named(w.reasons, code)}: {number}
          </span>
        ))}
        {run.state === 'running' ? (
          <button type="button" onClick={() => void cancel()}>
            {w.stop}
          </button>
        ) : (
          <button type="button" onClick={() => filter({ run: '' })}>
            {w.close}
          </button>
        )}
      </p>
    </section>
  )
}
