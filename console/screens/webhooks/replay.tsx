import { send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { filter, go } from '../../app/router.ts'
import type { Replay, ReplayPlan } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { When } from '../../parts/basics.tsx'
import { ask } from '../../parts/dialog.tsx'
import { askStart, CloseRun, Progress } from '../../parts/run.tsx'
import { Loaded } from '../../parts/screen.tsx'
import { count, words } from '../../words/words.ts'

/** Find out which events of a time there are; then they can be sent again, at a rate. */
export function askReplay(id: number): void {
  const path = `/webhook-endpoints/${id}/replays`
  const w = words.value
  ask({
    title: w.replay,
    says: w.replaySays,
    fields: [
      { name: 'from', label: w.replayFrom, kind: 'time', optional: true },
      { name: 'to', label: w.replayTo, kind: 'time', optional: true },
      {
        name: 'only',
        label: w.replayOnly,
        initial: 'undelivered',
        choices: [
          ['undelivered', w.replayUndelivered],
          ['', w.replayAll],
        ],
      },
    ],
    verb: w.countThem,
    run({ from = '', to = '', only = '' }) {
      const wanted = {
        ...(from === '' ? {} : { created_after: new Date(from).toISOString() }),
        ...(to === '' ? {} : { created_before: new Date(to).toISOString() }),
        ...(only === '' ? {} : { only }),
      }
      return send<ReplayPlan>('POST', path, { filter: wanted, dry_run: true })
    },
    done(found) {
      const plan = found as ReplayPlan
      askStart({
        title: w.replayTitle(plan.count),
        says: <Plan plan={plan} />,
        snapshot: plan.snapshot,
        rateHint: w.replayRateHint,
        path,
        started: (replay) => go(hrefOf('webhooks', id, { replay })),
      })
    },
  })
}

function Plan({ plan }: { plan: ReplayPlan }) {
  const w = words.value
  return (
    <>
      <p>
        {w.replayFound(
          count(plan.count),
          `${count(plan.matching)}${plan.until === null ? '' : '+'}`,
        )}
      </p>
      {plan.oldest_at === null || plan.newest_at === null ? null : (
        <p>
          <When at={plan.oldest_at} /> – <When at={plan.newest_at} />
        </p>
      )}
      {plan.by_type.map((part) => (
        <p key={part.type} class="quiet">
          {part.type}: {count(part.count)}
        </p>
      ))}
    </>
  )
}

/** How far a replay has come. */
export function ReplayRun({ endpoint, id }: { endpoint: string; id: string }) {
  const w = words.value
  const path = `/webhook-endpoints/${endpoint}/replays/${id}`
  const close = () => filter({ replay: '' })
  const feed = useFeed<Replay>(path)
  return (
    <Loaded feed={feed} missing={<CloseRun onClose={close} />}>
      {(run) => (
        <Progress label={w.replayOf(run.id)} run={run} path={path} onClose={close}>
          <span role="status">
            {w.replayCounts(
              count(run.done),
              count(run.total),
              count(run.delivered),
              count(run.failed),
            )}
            {run.other === null || run.other === 0 ? '' : `, ${w.replayOther(count(run.other))}`}
          </span>
        </Progress>
      )}
    </Loaded>
  )
}
