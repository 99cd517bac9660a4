import { useFeed } from '../../app/feed.ts'
import { filter } from '../../app/router.ts'
import type { Redrive } from '../../app/shapes.ts'
import { named } from '../../parts/basics.tsx'
import { CloseRun, Progress } from '../../parts/run.tsx'
import { Loaded } from '../../parts/screen.tsx'
import { count, words } from '../../words/words.ts'

/** How far a redrive of many has come. */
export function Run({ id }: { id: string }) {
  const w = words.value
  const path = `/dlq/redrives/${id}`
  const close = () => filter({ run: '' })
  const feed = useFeed<Redrive>(path)
  return (
    <Loaded feed={feed} missing={<CloseRun onClose={close} />}>
      {(run) => (
        <Progress label={w.runOf(run.id)} run={run} path={path} onClose={close}>
          <span role="status">
            {w.runCounts(count(run.done), count(run.total), count(run.redriven))}
          </span>
          {Object.entries(run.refusals).map(([code, number]) => (
            <span key={code} class="quiet">
              {named(w.reasons, code)}: {number}
            </span>
          ))}
        </Progress>
      )}
    </Loaded>
  )
}
