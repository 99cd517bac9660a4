import { send } from '../../app/api.ts'
import { go, stillHere } from '../../app/router.ts'
import { currency } from '../../app/session.ts'
import type { RedrivePlan } from '../../app/shapes.ts'
import type { Cause } from '../../exact/letters.ts'
import { hrefOf } from '../../exact/route.ts'
import { Money, named } from '../../parts/basics.tsx'
import { tell } from '../../parts/dialog.tsx'
import { askStart } from '../../parts/run.tsx'
import { count, refusal, words } from '../../words/words.ts'

/**
 * Find out what redriving all letters of a group would do; then it can be started, at a rate. Who
 * has gone elsewhere by then is asked nothing.
 */
export async function askDryRun({ class: kind, error }: Cause): Promise<void> {
  const w = words.value
  const wanted = { filter: { class: kind, error }, dry_run: true }
  const still = stillHere()
  const answer = await send<RedrivePlan>('POST', '/dlq/redrive', wanted)
  if (!still()) return
  if (answer.kind === 'refused') return tell(w.redriveAll, refusal(answer.problem))
  if (answer.kind !== 'ok') return tell(w.redriveAll, w.dryRunLost)
  const plan = answer.data
  askStart({
    title: w.runTitle(plan.count),
    says: <Plan plan={plan} />,
    snapshot: plan.snapshot,
    rateHint: w.rateHint,
    path: '/dlq/redrive',
    started: (run) => go(hrefOf('dead-letters', null, { run })),
  })
}

function Plan({ plan }: { plan: RedrivePlan }) {
  const w = words.value
  const others = plan.other_amounts ?? []
  const refused = plan.would_refuse.filter((one) => one.count > 0)
  return (
    <>
      <p>{w.runSays(count(plan.count), count(plan.matching))}</p>
      <p class="figure">
        <Money amount={plan.amount} currency={currency.value ?? ''} />
        {others.map((one) => (
          <Money key={one.currency} amount={one.amount} currency={one.currency} />
        ))}
      </p>
      {refused.map((one) => (
        <p key={one.code}>{w.wouldRefuse(one.count, named(w.reasons, one.code))}</p>
      ))}
    </>
  )
}
