import { send } from '../../app/api.ts'
import { refreshAll, useFeed } from '../../app/feed.ts'
import { filter } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Replay, ReplayPlan } from '../../app/shapes.ts'
import { State, When } from '../../parts/basics.tsx'
import { ask } from '../../parts/dialog.tsx'
import { Loaded } from '../../parts/screen.tsx'
import { count, words } from '../../words/words.ts'

/** Find out which events of a time there are; then they can be sent again, at a rate. */
export function askReplay(endpoint: string): void {
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
      return send<ReplayPlan>('POST', `${endpoint}/replays`, { filter: wanted, dry_run: true })
    },
    done: (plan) => askStart(endpoint, plan as ReplayPlan),
  })
}

function askStart(endpoint: string, plan: ReplayPlan): void {
  const w = words.value
  ask({
    title: w.replayTitle(plan.count),
    says: <Plan plan={plan} />,
    fields: [
      { name: 'rate', label: w.rate, initial: '10', hint: w.replayRateHint },
      { name: 'reason', label: w.reason, hint: w.reasonHint },
    ],
    verb: w.start,
    run({ rate = '', reason = '' }, key) {
      const body = { snapshot: plan.snapshot, reason, rate_per_second: Number(rate) }
      return send<Replay>('POST', `${endpoint}/replays`, body, key)
    },
    done: (run) => filter({ replay: String((run as Replay).id) }),
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
  const path = `/webhook-endpoints/${endpoint}/replays/${id}`
  const feed = useFeed<Replay>(path)
  return <Loaded feed={feed}>{(run) => <Progress run={run} path={path} />}</Loaded>
}

function Progress({ run, path }: { run: Replay; path: string }) {
  const w = words.value
  const label = w.replayOf(run.id)
  async function cancel(): Promise<void> {
    await send('POST', `${path}/cancel`)
    await refreshAll()
  }
  const counts = [run.done, run.total, run.delivered, run.failed].map(count)
  const [done = '', total = '', arrived = '', failed = ''] = counts
  return (
    <section class="run" aria-label={label}>
      <header class="section-head">
        <h2>{label}</h2>
        <State state={run.state} />
      </header>
      <progress max={run.total} value={run.done} aria-label={label} />
      <p class="row">
        <span role="status">{w.replayCounts(done, total, arrived, failed)}</span>
        {run.state === 'running' && may('operate') ? (
          <button type="button" onClick={() => void cancel()}>
            {w.stop}
          </button>
        ) : (
          <button type="button" onClick={() => filter({ replay: '' })}>
            {w.close}
          </button>
        )}
      </p>
    </section>
  )
}
